"""Bodies of a scene: a shape, the cell it lies in, and how it looks."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.phantoms.canvas import Canvas
from training.phantoms.noise import FloatImage, soft_step
from training.phantoms.organelle import Organelle
from training.phantoms.shapes import Section, Shape
from training.phantoms.space import Window

_SMALLEST_PX = 60
_SMALLEST_UM2 = {Organelle.MITOCHONDRION: 0.02, Organelle.DROPLET: 0.05, Organelle.NUCLEUS: 1.5}
"""What annotators call by its name; smaller caps and tips of it are not painted either."""
_SHALLOWEST_PX = 1.5
_REACH_NM = 60.0
_EIGHT = np.ones((3, 3), np.bool_)


@dataclass(frozen=True)
class Profile:
    """What is left of a section beside other bodies; every array is (h, w) over `window`."""

    window: Window
    mask: NDArray[np.bool_]
    """The body's own pixels."""
    opacity: FloatImage
    """Nearly the mask, but soft where the surface lies at a slant."""
    depth: FloatImage
    """Distance to the surface or to the body that touches, in nanometres."""
    along: FloatImage
    tilt: FloatImage


class Skin(Protocol):
    """How a body looks."""

    def paint(self, canvas: Canvas, profile: Profile) -> None:
        """Paint the body's pixels."""


@dataclass(frozen=True)
class Body:
    """Something with an inside."""

    kind: Organelle
    shape: Shape
    skin: Skin
    cell: int | None
    """The cell that it cannot leave; None for bodies that are larger than cells."""
    clearance_nm: float = 0.0
    """Distance that it keeps from the cell's boundary."""


def cut_bodies(canvas: Canvas, bodies: tuple[Body, ...]) -> list[tuple[int, Section]]:
    """Enter all bodies into the slice and give what can be seen of them, numbered."""
    seen = []
    for number, body in enumerate(bodies):
        section = body.shape.cut(canvas.frame, canvas.z_nm, _REACH_NM)
        if section is not None:
            _confine(canvas, body, section)
            _forget(section, _crumbs(body.kind, section.depth > 0, section.depth, canvas.frame.pixel_nm))
            seen.append((number, section))
    _share_out(canvas, bodies, seen)
    # What is left of a body between others may be a crumb: they get its pixels, in a second round.
    if _drop_crumbs(canvas, bodies, seen):
        canvas.clear_bodies()
        _share_out(canvas, bodies, seen)
        _drop_crumbs(canvas, bodies, seen)
    for number, section in seen:
        canvas.kinds[section.window][canvas.owner[section.window] == number] = bodies[number].kind
    return seen


def _share_out(canvas: Canvas, bodies: tuple[Body, ...], seen: list[tuple[int, Section]]) -> None:
    for number, section in seen:
        canvas.enter(number, bodies[number].kind, section)


def _drop_crumbs(canvas: Canvas, bodies: tuple[Body, ...], seen: list[tuple[int, Section]]) -> bool:
    """Take from bodies the pieces that nobody could name; tells whether there were any."""
    dropped = False
    for number, section in seen:
        window = section.window
        kind, ours = bodies[number].kind, canvas.owner[window] == number
        crumbs = _crumbs(kind, ours, canvas.depth[window], canvas.frame.pixel_nm)
        if crumbs.any():
            canvas.give_back(window, crumbs)
            _forget(section, crumbs)
            dropped = True
    return dropped


def _confine(canvas: Canvas, body: Body, section: Section) -> None:
    if body.cell is None:
        return
    cells, window = canvas.cells, section.window
    edge = cells.edge[window]
    inward = np.where(cells.cell[window] == body.cell, edge, -np.abs(edge)) - np.float32(body.clearance_nm)
    # A minimum that is soft by a share of the body's thickness has no corners.
    soft = np.float32(max(0.12 * float(section.depth.max()), 1.0))
    lower = np.minimum(section.depth, inward)
    lower -= soft * np.exp(-np.abs(section.depth - inward) / soft)
    section.depth[:] = lower


def _crumbs(
    kind: Organelle, mask: NDArray[np.bool_], depth: FloatImage, pixel_nm: float
) -> NDArray[np.bool_]:
    """Pieces of `mask` that nobody could name, too small or cut too flat."""
    pieces, count = ndimage.label(mask, _EIGHT)
    if not count:
        return mask
    deepest = ndimage.maximum(depth, pieces, np.arange(count + 1))
    smallest_px = max(_SMALLEST_PX, _SMALLEST_UM2.get(kind, 0) * 1e6 / pixel_nm**2)
    small = (np.bincount(pieces.ravel()) < smallest_px) | (deepest < _SHALLOWEST_PX * pixel_nm)
    small[0] = False
    return np.asarray(small[pieces])


def _forget(section: Section, crumbs: NDArray[np.bool_]) -> None:
    section.depth[crumbs] = -_REACH_NM


def paint_bodies(canvas: Canvas, bodies: tuple[Body, ...], seen: list[tuple[int, Section]]) -> None:
    """Paint what can be seen."""
    for number, section in seen:
        profile = _profile(canvas, number, section)
        if profile.mask.any():
            bodies[number].skin.paint(canvas, profile)


def _profile(canvas: Canvas, number: int, section: Section) -> Profile:
    window = section.window
    owner = canvas.owner[window]
    mask = owner == number
    # Where two bodies touch, the border lies half way between their surfaces.
    halfway = 0.5 * (canvas.depth[window] - canvas.second[window])
    depth = np.where(mask, np.minimum(canvas.depth[window], halfway), section.depth)
    blur = np.maximum(0.6 * canvas.frame.pixel_nm, 0.5 * canvas.tissue.section_nm * section.tilt)
    opacity = soft_step(section.depth, blur.astype(np.float32)) * (mask | (owner < 0))
    return Profile(window, mask, opacity, depth, section.along, section.tilt)

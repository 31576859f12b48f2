"""Mitochondria: where they lie, their double membrane, their cristae."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.phantoms.canvas import Canvas, Organelle
from training.phantoms.noise import FloatImage, bump, smooth_noise, soft_step
from training.phantoms.shapes import Field, Spine, Window, blob, join, measure, walk

_SMALLEST_PX = 40
_LEAST_SHARE = 0.7  # of the wanted shape that must be free: more clipping makes shards
_TRIES_PER_OBJECT = 3


@dataclass(frozen=True)
class Habit:
    """How the mitochondria of one phantom are built."""

    cristae: str
    period_px: float
    line_px: float
    clustered: bool
    tubular: float
    """Share of long ones."""
    intermembrane: float
    """Brightness between the membranes, relative to the matrix."""
    membranes: float
    """How much of the stain's full strength the membranes take."""


def place_mitochondria(canvas: Canvas) -> None:
    """Fill the cytoplasm with mitochondria up to the style's crowding, at least one where any fits."""
    habit = _draw_habit(canvas)
    room = int(np.count_nonzero(canvas.kinds == Organelle.CYTOPLASM))
    goal = canvas.style.crowding * room
    radius = canvas.px(canvas.style.mitochondrion_nm) / 2
    tries = int(6 + _TRIES_PER_OBJECT * goal / (4 * radius**2))
    filled, last = 0, np.array([0.0, 0.0])
    for _ in range(tries):
        near = filled > 0 and habit.clustered and canvas.rng.random() < 0.7
        centre = _pick_centre(canvas, last if near else None, radius)
        if centre is None:
            continue
        area = _place_one(canvas, habit, centre)
        filled, last = filled + area, centre if area else last
        if filled >= goal:
            break


def _draw_habit(canvas: Canvas) -> Habit:
    rng = canvas.rng
    # Without contrast and without cristae nothing would tell a mitochondrion from a vacuole.
    dark = canvas.style.matrix < canvas.style.cytoplasm - 0.15
    shares = [0.4, 0.15, 0.2, 0.25] if dark else [0.6, 0.2, 0.2, 0.0]
    return Habit(
        cristae=str(rng.choice(["lamellar", "radial", "spotty", "plain"], p=shares)),
        period_px=max(3.0, canvas.px(rng.uniform(45, 110))),
        line_px=max(0.8, canvas.px(rng.uniform(8, 16))),
        clustered=bool(rng.random() < 0.4),
        tubular=float(rng.choice([0.1, 0.35, 0.7])),
        intermembrane=rng.uniform(0, 0.15),
        membranes=rng.uniform(0.3 if dark else 0.7, 1),
    )


def _pick_centre(
    canvas: Canvas, near: NDArray[np.float64] | None, radius: float
) -> NDArray[np.float64] | None:
    """A point of the cytoplasm away from the cell's edge; None after some misses."""
    height, width = canvas.shape
    for _ in range(12):
        if near is None:
            point = canvas.rng.uniform((0, 0), (height, width))
        else:
            angle = canvas.rng.uniform(0, 2 * np.pi)
            point = near + canvas.rng.uniform(1.8, 3) * radius * np.array([np.sin(angle), np.cos(angle)])
        y, x = int(point[0]), int(point[1])
        inside = 0 <= y < height and 0 <= x < width
        if inside and canvas.kinds[y, x] == Organelle.CYTOPLASM and canvas.edge[y, x] > 0.35 * radius:
            return point
    return None


def _draw_shape(canvas: Canvas, habit: Habit, centre: NDArray[np.float64]) -> tuple[Spine, Spine | None]:
    """The spine and, for some, a branch."""
    rng = canvas.rng
    radius = 0.5 * canvas.px(canvas.style.mitochondrion_nm) * float(np.exp(rng.normal(0, 0.28)))
    if rng.random() > habit.tubular:
        return blob(rng, centre, radius, 1.8), None
    radius *= rng.uniform(0.5, 0.95)
    spine = walk(rng, centre, _heading(canvas, centre, 3 * radius), radius * rng.uniform(3, 14), radius)
    if rng.random() > 0.12:
        return spine, None
    root = spine.points[len(spine.points) // 2]
    heading = rng.uniform(0, 2 * np.pi)
    length = radius * rng.uniform(2.5, 5)
    tip = root + 0.5 * length * np.array([np.sin(heading), np.cos(heading)])
    return spine, walk(rng, tip, heading, length, 0.85 * radius)


def _heading(canvas: Canvas, centre: NDArray[np.float64], reach: float) -> float:
    """The direction in which the cell runs at `centre`, with some scatter."""
    rng = canvas.rng
    angles = rng.uniform(0, np.pi, 6)
    best, best_room = float(angles[0]), -1.0
    limit = np.array(canvas.shape) - 1
    for angle in angles:
        step = reach * np.array([np.sin(angle), np.cos(angle)])
        ends = np.clip([centre + step, centre - step], 0, limit).astype(int)
        room = float(canvas.edge[ends[:, 0], ends[:, 1]].sum())
        if room > best_room:
            best, best_room = float(angle), room
    return best


def _place_one(canvas: Canvas, habit: Habit, centre: NDArray[np.float64]) -> int:
    """Paint one mitochondrion if it fits; gives its area, 0 when it does not."""
    spine, branch = _draw_shape(canvas, habit, centre)
    margin = 0.3 * float(spine.radii.max()) + 3
    both = (
        spine
        if branch is None
        else Spine(np.vstack([spine.points, branch.points]), np.concatenate([spine.radii, branch.radii]))
    )
    window = both.window(canvas.shape, margin)
    if window is None:
        return 0
    field = measure(spine, window)
    if branch is not None:
        field = join(field, measure(branch, window))
    mask = _fit(canvas, field, window, centre)
    if mask is None:
        return 0
    _paint(canvas, habit, field, window, mask)
    canvas.claim(window, mask, Organelle.MITOCHONDRION)
    return int(mask.sum())


def _fit(
    canvas: Canvas, field: Field, window: Window, centre: NDArray[np.float64]
) -> NDArray[np.bool_] | None:
    """The pixels that the shape may take: its own cell, nothing occupied; None if little is left."""
    rng = canvas.rng
    radius = max(float(field.depth.max()), 1.0)
    wobble = rng.uniform(0.03, 0.16) * radius
    wanted = field.depth + wobble * smooth_noise(rng, field.depth.shape, max(3, 0.9 * radius)) > 0
    cell = canvas.cells[int(centre[0]), int(centre[1])]
    free = (canvas.kinds[window] == Organelle.CYTOPLASM) & (canvas.cells[window] == cell)
    free &= canvas.edge[window] > canvas.px(rng.uniform(15, 60))
    gap = int(rng.choice([0, 1, 2, 4], p=[0.15, 0.35, 0.25, 0.25]))
    if gap:
        taken = canvas.kinds[window] > Organelle.MYELIN
        free &= ~ndimage.binary_dilation(taken, iterations=gap)
    # Clipping leaves corners; a smoothed outline has none.
    rounded = ndimage.gaussian_filter((wanted & free).astype(np.float32), max(0.8, 0.22 * radius)) > 0.5
    mask = rounded & free
    pieces, count = ndimage.label(mask)
    if count == 0:
        return None
    sizes = np.bincount(pieces.ravel())[1:]
    if sizes.max() < max(_SMALLEST_PX, _LEAST_SHARE * np.count_nonzero(wanted)):
        return None
    return np.asarray(pieces == sizes.argmax() + 1)


def _paint(canvas: Canvas, habit: Habit, field: Field, window: Window, mask: NDArray[np.bool_]) -> None:
    """Outer membrane, gap, inner membrane, matrix with cristae."""
    rng, style = canvas.rng, canvas.style
    # Beyond the image's edge the object goes on: padding by its own pixels keeps a membrane away from there.
    depth = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1].astype(np.float32)
    width = max(0.7, canvas.px(rng.uniform(7, 11)))
    gap = canvas.px(rng.uniform(12, 24))
    around = float(canvas.image[window][mask].mean()) - style.cytoplasm
    matrix = style.matrix + 0.6 * around + rng.normal(0, 0.025)
    tone = matrix + 0.7 * style.texture * smooth_noise(rng, mask.shape, rng.uniform(1, 3))
    tone += 0.03 * smooth_noise(rng, mask.shape, max(3.0, 0.5 * float(depth.max())))
    inner = soft_step(depth - width - gap, 1.0)
    tone -= inner * style.cristae * _cristae(canvas, habit, field, depth)
    tone += (1 - inner) * habit.intermembrane
    membranes = np.maximum(bump(depth, 0.8 * width, width), 0.9 * bump(depth, 0.8 * width + gap, width))
    tone -= (tone - style.membrane) * membranes * habit.membranes
    canvas.image[window][mask] = tone[mask]


def _cristae(canvas: Canvas, habit: Habit, field: Field, depth: FloatImage) -> FloatImage:
    """How much of a crista each pixel holds, 0 to 1."""
    rng, shape = canvas.rng, depth.shape
    if habit.cristae == "plain":
        return np.zeros(shape, np.float32)
    period, line = habit.period_px * rng.uniform(0.85, 1.2), habit.line_px
    gate = soft_step(smooth_noise(rng, shape, max(3.0, 2.2 * period)) + rng.uniform(-0.3, 0.9), 0.3)
    if habit.cristae == "spotty":
        spots = smooth_noise(rng, shape, max(1.5, 0.5 * period))
        return np.asarray(gate * soft_step(np.float32(0.4) - np.abs(spots), 0.25), np.float32)
    warp = rng.uniform(0.2, 0.6) * period * smooth_noise(rng, shape, max(3.0, 1.5 * period))
    if habit.cristae == "lamellar":
        phase = field.along + warp
        # Blobs have no length to speak of: their cristae run across the window instead.
        if float(field.along.max()) < 3 * period:
            phase = phase + _ramp(rng, shape)
    else:
        phase = _angle(depth) * float(depth.max()) + warp
        gate = gate * soft_step(0.75 * float(depth.max()) - depth, 2.0)
    offset = np.abs((phase / period) % 1 - 0.5) * period
    return np.asarray(gate * bump(offset.astype(np.float32), 0, line), np.float32)


def _ramp(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatImage:
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.asarray(np.sin(angle) * y + np.cos(angle) * x, np.float32)


def _angle(depth: FloatImage) -> FloatImage:
    """Angle of each pixel around the deepest one, in radians."""
    deepest = np.unravel_index(int(depth.argmax()), depth.shape)
    y, x = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
    return np.asarray(np.arctan2(y - deepest[0], x - deepest[1]), np.float32)

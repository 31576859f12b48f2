"""The picture of a result: the image, each object filled faintly and outlined in a colour of its own."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from workers.images.label_map import LabelMap
from workers.images.sheet import Sheet

LONGEST_SIDE = 1024
_SMALL_SIDE = 512  # images up to here are enlarged, so that outlines do not cover what they surround
FINE = 2  # colours are laid at this multiple of the preview's resolution, then averaged: smooth outlines
_OUTLINE_PX = 2
_FILL_OPACITY = 0.16
_OUTLINE_OPACITY = 0.95
_PERCENTILES = (0.5, 99.5)
_BAND_BYTES = 64 << 20
_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = ndimage.generate_binary_structure(2, 2)
_GOLDEN = 0.6180339887498949


def write_preview(grey: Sheet, labels: LabelMap, path: Path) -> None:
    """A PNG of `grey` (Y, X) and `labels`, at most 1024 pixels a side."""
    shape = preview_shape(labels.shape)
    picture = stretched(shrunk(grey, shape))
    fine = subsampled(labels, (shape[0] * FINE, shape[1] * FINE))
    Image.fromarray(painted(picture, fine)).save(path, format="PNG")


def painted(picture: NDArray[np.float32], fine: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """(H, W, 3) a picture (H, W) of 0 to 1 with objects over it, whose labels come at FINE times its
    resolution."""
    rgb = np.repeat(picture[..., None], 3, axis=2)
    colour, opacity = overlay(fine)
    blended = rgb * (1 - opacity[..., None]) + colour
    return np.asarray(np.rint(blended * 255), dtype=np.uint8)


def preview_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the preview: large images are shrunk, small ones enlarged by a whole number."""
    longest = max(shape)
    if longest <= _SMALL_SIDE:
        factor = LONGEST_SIDE // longest
        return shape[0] * factor, shape[1] * factor
    scale = min(1.0, LONGEST_SIDE / longest)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def shrunk(grey: Sheet, shape: tuple[int, int]) -> NDArray[np.float32]:
    """`grey` (Y, X) at `shape`, antialiased, in its own grey values."""
    step = max(1, min(grey.shape[0] // (2 * shape[0]), grey.shape[1] // (2 * shape[1])))
    coarse = _block_means(grey, step)
    picture = Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


def _block_means(grey: Sheet, step: int) -> NDArray[np.float32]:
    """Means of blocks of `step` x `step` pixels, by bands of rows; blocks at the far edges are smaller."""
    rows = max(1, _BAND_BYTES // (4 * step * grey.shape[1])) * step
    bands = (grey.read(y0, y0 + rows) for y0 in range(0, grey.shape[0], rows))
    return np.concatenate([_means_of(band, step) for band in bands])


def _means_of(band: NDArray[Any], step: int) -> NDArray[np.float32]:
    values = np.nan_to_num(band.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if step == 1:
        return values
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], step)
        sizes = np.diff(np.append(starts, values.shape[axis])).astype(np.float32)
        sums = np.add.reduceat(values, starts, axis=axis)
        values = np.asarray(sums / (sizes[:, None] if axis == 0 else sizes), dtype=np.float32)
    return values


def stretched(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey values from 0 to 1, of any shape; the darkest and the brightest half per cent are cut off."""
    low, high = np.percentile(picture, _PERCENTILES)
    if high <= low:
        return np.full(picture.shape, 0.5, np.float32)
    return np.asarray(np.clip((picture - low) / (high - low), 0, 1), dtype=np.float32)


def subsampled(labels: LabelMap, shape: tuple[int, int]) -> NDArray[np.uint32]:
    """The label under the middle of each pixel of a map of `shape`."""
    height, width = labels.shape
    rows = (np.arange(shape[0]) * 2 + 1) * height // (2 * shape[0])
    columns = (np.arange(shape[1]) * 2 + 1) * width // (2 * shape[1])
    out = np.zeros(shape, np.uint32)
    for y0, band in labels.bands():
        first, last = np.searchsorted(rows, (y0, y0 + len(band)))
        out[first:last] = band[rows[first:last] - y0][:, columns]
    return out


def overlay(labels: NDArray[np.uint32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colour (RGB, times its opacity) and opacity of the objects, at the preview's resolution."""
    outline = near_borders(labels, _OUTLINE_PX * FINE)
    opacity = np.where(outline, np.float32(_OUTLINE_OPACITY), np.float32(_FILL_OPACITY)) * (labels > 0)
    values, places = np.unique(labels, return_inverse=True)
    colour = colours(values)[places.reshape(labels.shape)] * opacity[..., None]
    return _averaged(colour), _averaged(opacity)


def near_borders(labels: NDArray[np.uint32], reach: int) -> NDArray[np.bool_]:
    """Pixels that are at most `reach` pixels from one with another label."""
    near = np.zeros(labels.shape, np.bool_)
    across = labels[:, 1:] != labels[:, :-1]
    near[:, 1:] |= across
    near[:, :-1] |= across
    down = labels[1:] != labels[:-1]
    near[1:] |= down
    near[:-1] |= down
    for step in range(reach - 1):
        # crosses and squares in turn grow to an octagon, nearly a disk
        near = ndimage.binary_dilation(near, _SQUARE if step % 2 else _CROSS)
    return near


def colours(labels: NDArray[np.uint32]) -> NDArray[np.float32]:
    """A bright colour (RGB, 0 to 1) for each label, far from those of labels near it in number."""
    hue = (labels * _GOLDEN) % 1.0
    # Labels a Fibonacci number apart have nearly the same hue: a second sequence sets them apart.
    tone = (labels * 0.7548776662466927) % 1.0
    lightness, saturation = 0.55 + 0.15 * tone, 0.75 + 0.25 * (1 - tone)
    chroma = (1 - np.abs(2 * lightness - 1)) * saturation
    sector = (np.array([0, 8, 4]) + hue[:, None] * 12) % 12
    shares = np.clip(np.minimum(sector - 3, 9 - sector), -1, 1)
    return np.asarray(lightness[:, None] - chroma[:, None] / 2 * shares, dtype=np.float32)


def _averaged(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = fine.shape[0] // FINE, fine.shape[1] // FINE
    blocks = fine.reshape(height, FINE, width, FINE, *fine.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)

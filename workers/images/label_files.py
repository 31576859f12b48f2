"""Writes a label map as one plain array: .npy, or a PNG."""

from pathlib import Path

import numpy as np
from PIL import Image

from emserve.errors import NotAcceptable
from workers.images.label_map import LabelMap


def write_npy(labels: LabelMap, path: Path) -> None:
    """A C-ordered .npy, axes YX, in the map's own data type."""
    out = np.lib.format.open_memmap(path, mode="w+", dtype=labels.array.dtype, shape=labels.shape)
    for y0, band in labels.bands():
        out[y0 : y0 + len(band)] = band
    out.flush()


def write_png(labels: LabelMap, path: Path) -> None:
    """A grey PNG of 16 bits. Raises NotAcceptable when there are more than 65535 objects."""
    if labels.array.dtype == np.uint32:
        raise NotAcceptable(
            "The label map has more than 65535 objects, the most that a PNG of 16 bits can tell apart: take "
            "ome-tiff or npy."
        )
    whole = np.zeros(labels.shape, np.uint16)
    for y0, band in labels.bands():
        whole[y0 : y0 + len(band)] = band
    Image.fromarray(whole).save(path, format="PNG")

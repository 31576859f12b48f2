"""The stored objects of a label map of which only some labels are shown, as they would be stored."""

import numpy as np
from numcodecs import Zstd

from workers.images.label_map import ZSTD_LEVEL, LabelMap

_ZSTD = Zstd(level=ZSTD_LEVEL)


def shown_object(labels: LabelMap, name: str, value: bytes) -> bytes | None:
    """Of the map's Zarr the object `name`, whose stored bytes are `value`: of a chunk, labels that are not
    shown become background; metadata stays. None for a chunk of background alone, which is not stored."""
    if labels.shown is None or name.endswith(".json"):
        return value
    little = labels.dtype.newbyteorder("<")
    shown = labels.shown[np.frombuffer(_ZSTD.decode(value), little)]
    return bytes(_ZSTD.encode(shown.astype(little))) if shown.any() else None

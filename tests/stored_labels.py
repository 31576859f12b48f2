"""Label maps in storage, for tests of what reads them."""

from typing import Any

from numpy.typing import NDArray
from obstore.store import ObjectStore

from workers.images.label_map import LabelMap, create_labels, label_dtype


def write_labels(
    store: ObjectStore, prefix: str, labels: NDArray[Any], pixel_size_nm: tuple[float, float] | None
) -> LabelMap:
    """Stores a whole label map (H, W), in the smallest data type that holds it."""
    height, width = labels.shape
    stored = create_labels(
        store, prefix, (height, width), label_dtype(int(labels.max(initial=0))), pixel_size_nm
    )
    stored.array[:] = labels.astype(stored.array.dtype)
    return stored

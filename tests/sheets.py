"""Arrays as the sheets and label maps that the inference works on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.images.sheet import Sheet
from workers.inference.merge import Labels, Merged
from workers.inference.rows import Workspace


def sheet_of(workspace: Workspace, name: str, array: NDArray[Any]) -> Sheet:
    sheet = workspace.sheet(name, array.shape, array.dtype)
    sheet.write(0, array)
    return sheet


def merged_of(workspace: Workspace, labels: Labels) -> Merged:
    """A label map of one class, each label grouped to the centre of its own number."""
    ids = np.arange(int(labels.max(initial=0)) + 1, dtype=np.uint32)
    return Merged(
        sheet_of(workspace, "labels", labels.astype(np.uint32)),
        ids,
        np.minimum(ids, 1).astype(np.uint8),
        ids,
    )


def all_labels(merged: Merged) -> Labels:
    return merged.read(0, merged.shape[0])

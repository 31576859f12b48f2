"""Images as the image process decodes them."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from emserve.jobs import ImageSource
from workers.images.decode import decode


def grey_of(file: BinaryIO, source: ImageSource) -> NDArray[Any]:
    """The grey image (Y, X) that `source` means. Raises what `decode` raises."""
    with TemporaryDirectory() as folder:
        decoded = decode(file, source, Path(folder) / "grey.npy")
        array: NDArray[Any] = np.load(decoded.path)
    assert (list(array.shape), array.dtype.name) == (decoded.shape, decoded.dtype)
    return array

"""`python -m training.phantoms --out IMAGE --truth LABELS`: one phantom as two TIFF files."""

from pathlib import Path
from typing import Annotated

import numpy as np
import tifffile
import typer
from numpy.typing import NDArray

from training.phantoms import make_phantom

_SMALLEST, _LARGEST = 64, 8192


def main(
    out: Annotated[Path, typer.Option(help="The image, as a TIFF with its pixel size")],
    truth: Annotated[
        Path, typer.Option(help="Its mitochondria as a label map: 0 background, objects 1 to n")
    ],
    seed: Annotated[int, typer.Option(help="The same seed and size give the same phantom")] = 1,
    size: Annotated[int, typer.Option(min=_SMALLEST, max=_LARGEST, help="Pixels a side")] = 512,
    pixel_size_nm: Annotated[
        float | None, typer.Option(min=2, max=50, help="Size of a pixel; without it the seed chooses")
    ] = None,
) -> None:
    """Make an image that looks like electron microscopy, and the truth about it."""
    phantom = make_phantom(seed, (size, size), pixel_size_nm)
    _write(out, phantom.image, phantom.pixel_size_nm)
    _write(truth, phantom.labels, phantom.pixel_size_nm)


def _write(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16], pixel_size_nm: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    per_micrometre = 1000 / pixel_size_nm
    tifffile.imwrite(
        path,
        image,
        imagej=True,
        compression="zlib",
        resolution=(per_micrometre, per_micrometre),
        metadata={"axes": "YX", "unit": "um"},
    )


if __name__ == "__main__":
    typer.run(main)

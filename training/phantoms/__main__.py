"""`python -m training.phantoms --out IMAGE --truth LABELS`: one phantom as two TIFF files."""

from pathlib import Path
from typing import Annotated

import numpy as np
import tifffile
import typer
from numpy.typing import NDArray

from training.phantoms import Structure, make_phantom, make_volume_phantom

_SMALLEST, _LARGEST = 64, 8192
_VOLUME_PIXEL_NM = 10.0


def main(
    out: Annotated[Path, typer.Option(help="The image, as a TIFF with its pixel size")],
    truth: Annotated[Path, typer.Option(help="Its objects as a label map: 0 background, objects 1 to n")],
    structure: Annotated[Structure, typer.Option(help="What the label map shows")] = Structure.MITOCHONDRIA,
    seed: Annotated[int, typer.Option(help="The same seed and size give the same phantom")] = 1,
    size: Annotated[int, typer.Option(min=_SMALLEST, max=_LARGEST, help="Pixels a side")] = 512,
    pixel_size_nm: Annotated[
        float | None,
        typer.Option(min=2, max=50, help="Size of a pixel; without it the seed chooses, 10 for a volume"),
    ] = None,
    slices: Annotated[int, typer.Option(min=1, max=1024, help="More than one make a volume")] = 1,
    slice_nm: Annotated[float, typer.Option(min=2, max=100, help="From slice to slice, in a volume")] = 30,
) -> None:
    """Make an image or a volume that looks like electron microscopy, and the truth about it."""
    if slices == 1:
        phantom = make_phantom(seed, (size, size), pixel_size_nm)
        _write(out, phantom.image, phantom.pixel_size_nm, None)
        _write(truth, phantom.truth.of(structure), phantom.pixel_size_nm, None)
        return
    pixel_nm = pixel_size_nm or _VOLUME_PIXEL_NM
    volume = make_volume_phantom(seed, (slices, size, size), (slice_nm, pixel_nm, pixel_nm))
    _write(out, volume.image, pixel_nm, slice_nm)
    _write(truth, volume.truth.of(structure), pixel_nm, slice_nm)


def _write(
    path: Path,
    image: NDArray[np.uint8] | NDArray[np.uint16],
    pixel_size_nm: float,
    slice_nm: float | None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    per_micrometre = 1000 / pixel_size_nm
    depth = {"spacing": slice_nm / 1000} if slice_nm else {}
    tifffile.imwrite(
        path,
        image,
        imagej=True,
        compression="zlib",
        resolution=(per_micrometre, per_micrometre),
        metadata={"axes": "ZYX" if slice_nm else "YX", "unit": "um", **depth},
    )


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None)  # other programs read what it says
    app.command()(main)
    app()

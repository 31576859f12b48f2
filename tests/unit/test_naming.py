"""Result files are named after the image, without what says its format and with all else."""

import pytest

from emserve.naming import bare_name


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("cell.tif", "cell"),
        ("cell.ome.tif", "cell"),
        ("S17.001.tif", "S17.001"),
        ("2026.11.29_grid.OME.TIFF", "2026.11.29_grid"),
        ("stack.ome.zarr.zip", "stack"),
        ("stack.zarr", "stack"),
        ("slices.zip", "slices"),
        ("scan.dat", "scan.dat"),
        ("cell", "cell"),
        (".hidden.png", "hidden"),
        (".tif", "image"),
        ("", "image"),
    ],
)
def test_the_name_of_an_image(filename: str, name: str) -> None:
    assert bare_name(filename) == name

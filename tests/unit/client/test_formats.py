"""Formats by a file's extension."""

import pytest

from emserve.client.errors import UnknownFormat
from emserve.client.formats import Part, format_of


@pytest.mark.parametrize(
    ("part", "name", "expected"),
    [
        ("labels", "cell.tif", "ome-tiff"),
        ("labels", "cell.ome.tif", "ome-tiff"),
        ("labels", "CELL.TIFF", "ome-tiff"),
        ("labels", "cell.npy", "npy"),
        ("labels", "a.b/cell.png", "png"),
        ("labels", "cell.zarr.zip", "zarr"),
        ("objects", "cell.csv", "csv"),
        ("objects", "cell.json", "json"),
        ("preview", "cell.png", None),
        ("provenance", "cell.json", None),
    ],
)
def test_an_extension_means_a_format(part: Part, name: str, expected: str | None) -> None:
    assert format_of(part, name) == expected


@pytest.mark.parametrize(
    ("part", "name"),
    [("labels", "cell.jpg"), ("labels", "cell"), ("objects", "cell.tif"), ("preview", "x.tif")],
)
def test_another_extension_is_refused_with_the_right_ones(part: Part, name: str) -> None:
    with pytest.raises(UnknownFormat, match=r"ends in one of \."):
        format_of(part, name)

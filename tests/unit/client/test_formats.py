"""Formats by a file's extension."""

import pytest

from emserve.client.errors import UnknownFormat
from emserve.client.formats import Part, Wanted, format_of


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


def test_a_result_that_no_job_has_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownFormat, match="no result 'lables'; a job has labels, objects, preview"):
        format_of("lables", "cell.tif")  # type: ignore[arg-type]  # as somebody types it


def test_a_slice_is_part_of_the_query() -> None:
    assert Wanted("labels", "png", z=3).query() == {"format": "png", "z": "3"}
    assert Wanted("preview", z=0).query() == {"z": "0"}
    with pytest.raises(UnknownFormat, match="The objects is of all slices"):
        Wanted("objects", "csv", z=3)


def test_a_class_is_part_of_the_query() -> None:
    assert Wanted("labels", "npy", "er").query() == {"format": "npy", "class": "er"}
    assert Wanted("objects", "json", 2).query() == {"format": "json", "class": "2"}
    assert Wanted("preview").query() == {}


@pytest.mark.parametrize(
    ("part", "words"), [("preview", "only labels and objects are not"), ("provenance", "of all classes")]
)
def test_what_no_service_has_of_one_class_is_refused(part: Part, words: str) -> None:
    with pytest.raises(UnknownFormat, match=words):
        Wanted(part, only_class="er")

"""What a job runs with: defaults are filled in, and what would do nothing is refused by its name."""

from pathlib import Path
from typing import Any

import pytest

from emserve.cards import Catalogue
from emserve.errors import InvalidRequest
from emserve.jobs import ImageHeader
from emserve.params import Parameters
from service.resolution import resolve

IMAGE = ImageHeader(
    format="tiff", shape=[64, 64], axes="YX", dtype="uint8", pixel_size_nm=None, pixel_size_source=None
)
VOLUME = ImageHeader(
    format="tiff", shape=[16, 64, 64], axes="ZYX", dtype="uint8", pixel_size_nm=None, pixel_size_source=None
)


def resolved(header: ImageHeader, tmp_path: Path, **given: Any) -> Parameters:
    return resolve(Parameters(**given), Catalogue(tmp_path).find("mitonet@starter"), header)


@pytest.mark.parametrize(
    "given", [{"min_size": 9}, {"min_extent": 2}, {"fine_boundaries": True}, {"center_confidence_thr": 0.7}]
)
def test_what_only_objects_have_is_refused_where_none_are_made(given: dict[str, Any], tmp_path: Path) -> None:
    for header in (IMAGE, VOLUME):
        resolved(header, tmp_path, **given)
        with pytest.raises(InvalidRequest, match=f"`{next(iter(given))}` has no effect") as caught:
            resolved(header, tmp_path, semantic_only=True, **given)
        assert [error.pointer for error in caught.value.errors] == [f"/params/{next(iter(given))}"]


def test_a_fault_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolved(IMAGE, tmp_path, semantic_only=True, min_slice_size=5)
    assert len(caught.value.errors) == 1


@pytest.mark.parametrize("header", [IMAGE, VOLUME], ids=["image", "volume"])
def test_a_class_is_not_dropped_for_being_small(header: ImageHeader, tmp_path: Path) -> None:
    params = resolved(header, tmp_path, semantic_only=True)
    assert (params.min_size, params.min_extent) == (0, 0)
    assert resolved(header, tmp_path, semantic_only=True, min_size=0) == params
    assert resolved(header, tmp_path).min_size

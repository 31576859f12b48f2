"""Parts of the label map."""

import io

import httpx
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.acceptance.exchange import Json, labels_of, refused
from tests.running_service import RunningService


@pytest.mark.parametrize(
    ("query", "rows", "columns"),
    [
        ({"y0": 10, "y1": 90, "x0": 30, "x1": 200}, slice(10, 90), slice(30, 200)),
        ({"y0": 250}, slice(250, 256), slice(None)),
        ({"x1": 1}, slice(None), slice(0, 1)),
    ],
)
def test_a_region_holds_what_the_whole_holds_there(
    http: httpx.Client, finished: Json, query: dict[str, int], rows: slice, columns: slice
) -> None:
    np.testing.assert_array_equal(
        labels_of(http, finished, **query), labels_of(http, finished)[rows, columns]
    )


@pytest.mark.parametrize("name", ["ome-tiff", "tiff", "png"])
def test_a_region_comes_in_every_format(http: httpx.Client, finished: Json, name: str) -> None:
    query: dict[str, str | int] = {"format": name, "y0": 10, "y1": 90, "x0": 30, "x1": 200}
    answer = http.get(f"/v1/jobs/{finished['id']}/labels", params=query)
    file = io.BytesIO(answer.content)
    found = np.asarray(Image.open(file)) if name == "png" else tifffile.imread(file)
    np.testing.assert_array_equal(found, labels_of(http, finished)[10:90, 30:200])
    assert "cell.mitonet.labels.y10-90.x30-200." in answer.headers["content-disposition"]


def test_a_region_is_a_file_like_any_other(http: httpx.Client, finished: Json) -> None:
    url = f"/v1/jobs/{finished['id']}/labels?format=npy&y1=9"
    whole = http.get(url)
    part = http.get(url, headers={"Range": "bytes=5-20"})
    assert (part.status_code, part.content) == (206, whole.content[5:21])
    assert http.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert http.head(url).headers["content-length"] == str(len(whole.content))


def test_regions_are_not_kept(service: RunningService, http: httpx.Client, finished: Json) -> None:
    store = service.data_dir / "store" / "jobs" / finished["id"]
    before = {str(path) for path in store.rglob("*")}
    http.get(f"/v1/jobs/{finished['id']}/labels?format=npy&y1=77")
    assert {str(path) for path in store.rglob("*")} == before
    assert not list((service.data_dir / "scratch").glob("part-*"))


@pytest.mark.parametrize(
    ("query", "at_fault"),
    [("y0=256", "y0"), ("y1=257", "y1"), ("x0=9&x1=9", "x1"), ("x0=9&x1=3", "x1"), ("x1=0", "x1")],
)
def test_a_region_that_is_not_inside_is_refused(
    http: httpx.Client, finished: Json, query: str, at_fault: str
) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}/labels?{query}")
    problem = refused(response, 422, "invalid-request", "256")
    assert problem["errors"][0]["pointer"] == f"/query/{at_fault}"


@pytest.mark.parametrize("query", ["y0=-1", "y0=a", "y0=1.5"])
def test_a_bound_that_is_no_number_is_refused(http: httpx.Client, finished: Json, query: str) -> None:
    refused(http.get(f"/v1/jobs/{finished['id']}/labels?{query}"), 422, "invalid-request")


@pytest.mark.parametrize("query", ["z=0", "z0=0", "z1=1"])
def test_an_image_has_no_slices(http: httpx.Client, finished: Json, query: str) -> None:
    refused(http.get(f"/v1/jobs/{finished['id']}/labels?{query}"), 422, "invalid-request", "volumes")
    refused(http.get(f"/v1/jobs/{finished['id']}/preview.png?z=0"), 422, "invalid-request", "volumes")


def test_a_region_is_no_zarr(http: httpx.Client, finished: Json) -> None:
    refused(
        http.get(f"/v1/jobs/{finished['id']}/labels?format=zarr&y1=9"), 406, "not-acceptable", "labels.zarr"
    )

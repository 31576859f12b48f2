"""Models of several classes over HTTP: one label map, and what each class has of it, in every form."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from ome_zarr_models.v05.image_label import ImageLabel

from tests.acceptance.exchange import Json, labels_of, level, refused, run, zarr_of
from tests.lab import install, small_export
from tests.pictures import tiff
from tests.running_service import RunningService

CLASSES = {"1": "class-1", "2": "class-2", "3": "class-3"}
NOISE = np.random.default_rng(4).normal(147, 33, (128, 96)).clip(0, 255).astype(np.uint8)
VOLUME = np.stack([NOISE] * 3 + [NOISE[::-1]] * 2)


@pytest.fixture(scope="module")
def _many(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A model of three classes, whose random weights find two of them, while this module's tests run."""
    models = service.data_dir / "models"
    card = install(models, "many", small_export(tmp_path_factory.mktemp("many"), num_classes=4))
    yield
    for path in models.glob(f"{card.id}.*"):
        path.unlink()


@pytest.fixture(
    scope="module",
    params=[(NOISE, {}), (VOLUME, {"min_size": 20, "min_extent": 1}), (VOLUME, {"semantic_only": True})],
    ids=["image", "volume", "classes of a volume"],
)
def job(http: httpx.Client, request: pytest.FixtureRequest, _many: None) -> Json:
    image, params = request.param
    return run(http, tiff(image, photometric="minisblack"), model="many", params=params)


@pytest.fixture(scope="module")
def whole(http: httpx.Client, job: Json) -> NDArray[np.integer]:
    """The label map of all classes."""
    return labels_of(http, job)


@pytest.fixture(scope="module")
def rows(http: httpx.Client, job: Json) -> list[Json]:
    listed: list[Json] = http.get(job["links"]["objects"]).json()["objects"]
    return listed


def expected(whole: NDArray[np.integer], rows: list[Json], class_id: str) -> NDArray[np.integer]:
    """The part of the map that the table says is of this class."""
    of_class = [row["label"] for row in rows if row["class_id"] == int(class_id)]
    return np.where(np.isin(whole, of_class), whole, 0)


def test_the_table_names_the_class_of_every_label(whole: NDArray[np.integer], rows: list[Json]) -> None:
    assert len({row["class_id"] for row in rows}) == 2
    assert sorted(row["label"] for row in rows) == np.unique(whole[whole > 0]).tolist()


def test_each_class_has_a_label_map_and_a_table(
    http: httpx.Client, job: Json, whole: NDArray[np.integer], rows: list[Json]
) -> None:
    assert job["result"]["classes"] == CLASSES
    together = np.zeros_like(whole)
    for class_id, name in CLASSES.items():
        answer = http.get(job["links"][f"labels:{name}"])
        only = tifffile.imread(io.BytesIO(answer.content))
        assert only.dtype == whole.dtype
        np.testing.assert_array_equal(only, expected(whole, rows, class_id))
        listed = http.get(f"/v1/jobs/{job['id']}/objects?class={class_id}").json()["objects"]
        assert listed == [row for row in rows if row["class_id"] == int(class_id)]
        together += only
    np.testing.assert_array_equal(together, whole)


def test_a_class_comes_in_every_format(
    http: httpx.Client, job: Json, whole: NDArray[np.integer], rows: list[Json], tmp_path: Path
) -> None:
    link, only = job["links"]["labels:class-2"], expected(whole, rows, "2")
    answer = http.get(link, params={"class": "2", "format": "tiff"})
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(answer.content)), only)
    assert '.labels.2.tif"' in answer.headers["content-disposition"]
    for query, part in ({}, only), ({"y0": 10, "x1": 40}, only[..., 10:, :40]):
        np.testing.assert_array_equal(labels_of(http, job, **{"class": "class-2", **query}), part)
    answer = http.get(link, params={"class": "2", "format": "zarr"})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path)
    np.testing.assert_array_equal(level(zarr.open_group(tmp_path, mode="r")), only)


@pytest.mark.parametrize("class_id", CLASSES)
def test_zarr_opens_a_class_by_its_url(
    service: RunningService, job: Json, whole: NDArray[np.integer], rows: list[Json], class_id: str
) -> None:
    group = zarr_of(service, job, f"?class={class_id}")
    ImageLabel.from_zarr(group)
    np.testing.assert_array_equal(level(group), expected(whole, rows, class_id))


def test_chunks_of_a_class_are_files_like_any_other(http: httpx.Client, job: Json) -> None:
    url = f"{job['links']['labels_zarr']}/0/c{'/0' * len(job['result']['shape'])}"
    value = http.get(url, params={"class": "class-2"})
    assert value.headers["content-type"] == "application/octet-stream"
    assert "content-disposition" not in value.headers
    part = http.get(url, params={"class": "2"}, headers={"Range": "bytes=3-9"})
    assert (part.status_code, part.content) == (206, value.content[3:10])
    again = http.get(url, params={"class": "2"}, headers={"If-None-Match": value.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    refused(http.get(url, params={"class": "3"}), 404, "chunk-not-found", "background")
    refused(http.get(url, params={"class": "nerve"}), 422, "invalid-request", "class-1, class-2, class-3")
    refused(http.get(f"{url}/9", params={"class": "2"}), 404, "chunk-not-found")


def test_a_class_that_is_none_is_refused(http: httpx.Client, job: Json) -> None:
    for part in ("labels", "objects"):
        answer = http.get(f"/v1/jobs/{job['id']}/{part}?class=nerve")
        problem = refused(answer, 422, "invalid-request", "'nerve'", "class-1, class-2, class-3")
        assert problem["errors"][0]["pointer"] == "/query/class"


def test_a_model_of_one_class_has_one_label_map(http: httpx.Client, finished: Json) -> None:
    assert [name for name in finished["links"] if name.startswith("labels:")] == []
    np.testing.assert_array_equal(labels_of(http, finished, **{"class": "mito"}), labels_of(http, finished))

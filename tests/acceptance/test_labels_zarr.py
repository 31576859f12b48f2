"""The label map chunk by chunk, as viewers and programs open it by its URL."""

import io
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.image_label import ImageLabel

from tests.acceptance.exchange import NOBODY, Json, labels_of, level, refused, zarr_of
from tests.running_service import RunningService


def test_zarr_opens_the_url_of_a_result(service: RunningService, http: httpx.Client, finished: Json) -> None:
    group = zarr_of(service, finished)
    ImageLabel.from_zarr(group)
    np.testing.assert_array_equal(level(group), labels_of(http, finished))


def test_the_zip_holds_the_same(http: httpx.Client, finished: Json, tmp_path: Path) -> None:
    path = f"/v1/jobs/{finished['id']}"
    answer = http.get(f"{path}/labels", params={"format": "zarr"})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith(
        'attachment; filename="cell.mitonet.labels.zarr.zip"'
    )
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
        for name in names:
            assert http.get(f"{path}/labels.zarr/{name}").content == archive.read(name)
    assert names[0] == "zarr.json"
    assert isinstance(zarr.open_group(tmp_path, mode="r")["0"], zarr.Array)


def test_parts_are_kept_by_clients_for_ever(http: httpx.Client, finished: Json) -> None:
    path = f"/v1/jobs/{finished['id']}/labels.zarr/0/c/0/0"
    whole = http.get(path)
    assert "immutable" in whole.headers["cache-control"]
    assert whole.headers["content-type"] == "application/octet-stream"
    head = http.head(path)
    assert (head.headers["content-length"], head.content) == (str(len(whole.content)), b"")
    again = http.get(path, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "part",
    [
        "0/c/9/9",
        "0/c/0",
        "0/c/0/0/0",
        "0/c/0/0/zarr.json",
        "zarr.json/zarr.json",
        f"0/c/{'9' * 300}/0",
        ".zgroup",
        "",
        "0/",
        "../attempt.json",
        "0/../../attempt.json",
        "%2e%2e/attempt.json",
        "0//zarr.json",
        "a\\b",
    ],
)
def test_what_is_no_part_of_it_is_not_found(http: httpx.Client, finished: Json, part: str) -> None:
    answer = http.get(f"/v1/jobs/{finished['id']}/labels.zarr/{part}")
    assert answer.status_code == 404
    assert answer.json()["type"] in ("urn:emserve:problem:chunk-not-found", "urn:emserve:problem:not-found")


def test_of_no_job_and_of_a_failed_one_there_is_none(http: httpx.Client, failed: Json) -> None:
    refused(http.get(f"/v1/jobs/{NOBODY}/labels.zarr/zarr.json"), 404, "job-not-found")
    refused(http.get(f"/v1/jobs/{failed['id']}/labels.zarr/zarr.json"), 409, "no-result")

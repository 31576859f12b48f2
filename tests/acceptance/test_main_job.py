"""The main job: an image comes in, is segmented, and its owner hears of it."""

import hashlib
import json
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.exchange import Json, accepted, ended, post

_FIELDS = {
    *("id", "status", "stage", "attempt", "model", "params", "tags", "warnings", "input", "progress"),
    *("queue", "result", "error", "created_at", "started_at", "finished_at", "expires_at", "links"),
}
_PARAMETERS = {
    *("downsampling", "confidence_thr", "center_confidence_thr", "min_distance_object_centers"),
    *("fine_boundaries", "semantic_only", "fill_holes_in_segmentation", "min_size", "min_extent"),
    *("tile_size", "mode", "inference_plane", "median_slices", "label_erosion", "label_dilation"),
    *(
        "min_slice_size",
        "pixel_vote_thr",
        "allow_one_view",
        "axes",
        "pixel_size_nm",
        "channel",
        "time",
        "intensity_range",
        "invert",
    ),
}


def test_an_upload_is_answered_with_its_job_and_where_to_find_it(http: httpx.Client, cell: bytes) -> None:
    response = post(http, cell, filename="cell.ome.tif")
    job = accepted(response)
    assert response.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert int(response.headers["retry-after"]) >= 1
    assert re.fullmatch(r"[A-Za-z0-9_-]+", job["id"])
    assert set(job) == _FIELDS
    assert job["status"] in ("queued", "running")
    assert job["attempt"] == 1
    assert job["model"]["name"] == "mitonet"
    assert job["model"]["version"] == "starter"
    assert re.fullmatch("[0-9a-f]{64}", job["model"]["sha256"])
    assert job["result"] is None
    assert job["error"] is None
    assert job["finished_at"] is None
    assert ended(http, job)["status"] == "succeeded"


def test_a_job_shows_what_came_in(finished: Json, cell: bytes) -> None:
    assert finished["input"] == {
        "filename": "cell.tif",
        "bytes": len(cell),
        "sha256": hashlib.sha256(cell).hexdigest(),
        "shape": [256, 256],
        "axes": "YX",
        "dtype": "uint8",
        "pixel_size_nm": [16.0, 16.0],
        "pixel_size_source": "file",
    }


def test_a_job_shows_every_parameter_with_its_value(finished: Json) -> None:
    assert set(finished["params"]) == _PARAMETERS
    assert finished["params"]["confidence_thr"] == 0.4  # the starter's own default
    assert finished["params"]["center_confidence_thr"] == 0.3


def test_a_succeeded_job_has_a_result_times_and_links(http: httpx.Client, finished: Json) -> None:
    assert finished["result"]["objects"] > 0
    assert finished["result"]["shape"] == [256, 256]
    assert finished["tags"] == {"sample_id": "S-17"}
    assert finished["created_at"] <= finished["started_at"] <= finished["finished_at"]
    assert all(finished[each].endswith("Z") for each in ("created_at", "started_at", "finished_at"))
    assert set(finished["links"]) == {"self", "labels", "labels_zarr", "objects", "preview", "provenance"}
    for name, path in finished["links"].items():
        link = f"{path}/zarr.json" if name == "labels_zarr" else path
        assert http.get(link).status_code == 200


def test_prefer_wait_answers_the_upload_with_the_finished_job(http: httpx.Client, cell: bytes) -> None:
    response = post(http, cell, headers={"Prefer": "wait=25"})
    assert response.status_code == 200, response.text
    assert response.headers["preference-applied"] == "wait=25"
    assert response.json()["status"] == "succeeded"
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"
    assert "retry-after" not in response.headers


@pytest.mark.parametrize("wait", ["header", "query"])
def test_a_reader_can_wait_for_the_end(http: httpx.Client, cell: bytes, wait: str) -> None:
    job = accepted(post(http, cell))
    path = f"/v1/jobs/{job['id']}"
    if wait == "header":
        response = http.get(path, headers={"Prefer": "respond-async, wait=20"})
    else:
        response = http.get(path, params={"wait": 20})
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=20"
    assert response.json()["status"] == "succeeded"


def test_waiting_is_capped_and_the_cap_is_told(http: httpx.Client, finished: Json) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}", headers={"Prefer": "wait=100000"})
    assert response.headers["preference-applied"] == "wait=60"


def test_the_header_wins_over_the_query(http: httpx.Client, finished: Json) -> None:
    path = f"/v1/jobs/{finished['id']}"
    response = http.get(path, params={"wait": 9}, headers={"Prefer": "wait=3"})
    assert response.headers["preference-applied"] == "wait=3"


def test_a_preference_may_stand_in_a_second_line(http: httpx.Client, finished: Json) -> None:
    in_two_lines = [("Prefer", "respond-async"), ("Prefer", "wait=2")]
    response = http.get(f"/v1/jobs/{finished['id']}", headers=in_two_lines)
    assert response.headers["preference-applied"] == "wait=2"


def test_nobody_waits_who_did_not_ask(http: httpx.Client, finished: Json) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}")
    assert "preference-applied" not in response.headers
    assert response.json() == finished


def test_an_ended_job_answers_a_waiting_reader_at_once(http: httpx.Client, finished: Json) -> None:
    started = time.monotonic()
    http.get(f"/v1/jobs/{finished['id']}", headers={"Prefer": "wait=20"})
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("content_type", [None, "image/tiff", "application/octet-stream"])
def test_a_file_can_be_sent_as_it_is(http: httpx.Client, cell: bytes, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    query = {
        "model": "mitonet@starter",
        "filename": "own name.tif",
        "params": json.dumps({"confidence_thr": 0.6}),
        "tags": json.dumps({"by": "curl"}),
    }
    job = ended(http, accepted(http.post("/v1/jobs", content=cell, params=query, headers=headers)))
    assert job["status"] == "succeeded"
    assert job["input"]["filename"] == "own name.tif"
    assert job["input"]["bytes"] == len(cell)
    assert job["params"]["confidence_thr"] == 0.6
    assert job["tags"] == {"by": "curl"}


def test_a_file_can_be_sent_in_chunks_of_unknown_number(http: httpx.Client, cell: bytes) -> None:
    pieces = (cell[start : start + 5000] for start in range(0, len(cell), 5000))
    job = ended(http, accepted(http.post("/v1/jobs", content=pieces, params={"model": "mitonet"})))
    assert job["status"] == "succeeded"
    assert job["input"]["sha256"] == hashlib.sha256(cell).hexdigest()


def test_the_parts_may_come_in_any_order(http: httpx.Client, cell: bytes) -> None:
    parts: dict[str, tuple[str | None, str | bytes]] = {
        "params": (None, '{"min_size": 3}'),
        "model": (None, "mitonet"),
        "image": ("cell.tif", cell),
    }
    job = accepted(http.post("/v1/jobs", files=parts))
    assert job["params"]["min_size"] == 3


def test_a_file_name_is_a_name_and_no_path(http: httpx.Client, cell: bytes) -> None:
    job = accepted(post(http, cell, filename="../../etc/pass<wd>.tif"))
    assert job["input"]["filename"] == "pass_wd_.tif"


def test_a_slow_upload_is_waited_for(http: httpx.Client, cell: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(cell), len(cell) // 4 + 1):
            time.sleep(0.2)
            yield cell[start : start + len(cell) // 4 + 1]

    job = ended(http, accepted(http.post("/v1/jobs", params={"model": "mitonet"}, content=pieces())))
    assert job["status"] == "succeeded"
    assert job["input"]["bytes"] == len(cell)

"""Pages of other origins: those that the operator names may read in a browser, the others nothing."""

import httpx
import pytest

from tests.acceptance.conftest import VIEWER
from tests.acceptance.exchange import Json, refused, stored_jobs
from tests.running_service import RunningService

_STRANGER = "https://stranger.example.org"


def _listed(answer: httpx.Response, name: str) -> set[str]:
    return {each.strip().lower() for each in answer.headers.get(name, "").split(",")}


def test_a_named_page_may_read_chunks_and_parts_of_them(http: httpx.Client, finished: Json) -> None:
    url = f"{finished['links']['labels_zarr']}/0/c/0/0"
    whole = http.get(url, headers={"Origin": VIEWER})
    assert whole.status_code == 200
    assert whole.headers["access-control-allow-origin"] == VIEWER
    assert "access-control-allow-credentials" not in whole.headers
    assert "origin" in _listed(whole, "vary")
    part = http.get(url, headers={"Origin": VIEWER, "Range": "bytes=5-20"})
    assert (part.status_code, part.content) == (206, whole.content[5:21])
    assert part.headers["access-control-allow-origin"] == VIEWER
    assert part.headers["content-range"] == f"bytes 5-20/{len(whole.content)}"
    shown = _listed(part, "access-control-expose-headers")
    assert {"etag", "content-range", "accept-ranges", "content-length"} <= shown
    again = http.get(url, headers={"Origin": VIEWER, "If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.headers["access-control-allow-origin"]) == (304, VIEWER)
    head = http.head(url, headers={"Origin": VIEWER})
    assert (head.status_code, head.headers["access-control-allow-origin"]) == (200, VIEWER)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/jobs", 200),
        ("/v1/models", 200),
        ("/v1/jobs/none", 404),
        ("/nowhere", 404),
        ("/v1/jobs?page_size=0", 422),
    ],
)
def test_a_named_page_may_read_answers_of_all_kinds(http: httpx.Client, path: str, status: int) -> None:
    answer = http.get(path, headers={"Origin": VIEWER})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, VIEWER)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_missing_chunk_is_missing_for_a_named_page(http: httpx.Client, finished: Json) -> None:
    answer = http.get(f"{finished['links']['labels_zarr']}/0/c/9/9", headers={"Origin": VIEWER})
    refused(answer, 404, "chunk-not-found")
    assert answer.headers["access-control-allow-origin"] == VIEWER


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_browser_may_ask_first(http: httpx.Client, finished: Json, method: str) -> None:
    asked = {
        "Origin": VIEWER,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "range, if-none-match",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = http.options(f"{finished['links']['labels_zarr']}/zarr.json", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == VIEWER
    assert _listed(answer, "access-control-allow-methods") == {"get", "head"}
    assert {"range", "if-none-match"} <= _listed(answer, "access-control-allow-headers")
    assert answer.headers["access-control-allow-private-network"] == "true"


def test_a_named_page_may_do_nothing_else(
    service: RunningService, http: httpx.Client, finished: Json, cell: bytes
) -> None:
    before = stored_jobs(service)
    path = f"/v1/jobs/{finished['id']}"
    asked = {"Origin": VIEWER, "Access-Control-Request-Method": "DELETE"}
    for answer in (
        http.post("/v1/jobs?model=mitonet", content=cell, headers={"Origin": VIEWER}),
        http.post(f"{path}/cancel", headers={"Origin": VIEWER}),
        http.delete(path, headers={"Origin": VIEWER}),
        http.options(path, headers=asked),
        http.options(path, headers={"Origin": VIEWER}),
    ):
        refused(answer, 403, "forbidden", VIEWER, "read")
        assert "access-control-allow-origin" not in answer.headers
    assert stored_jobs(service) == before


@pytest.mark.parametrize("origin", [_STRANGER, "null", f"{VIEWER}:8443", VIEWER.replace("https", "http")])
def test_a_page_that_is_not_named_may_do_nothing(http: httpx.Client, finished: Json, origin: str) -> None:
    url = f"{finished['links']['labels_zarr']}/zarr.json"
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    for answer in (http.get(url, headers={"Origin": origin}), http.options(url, headers=asked)):
        refused(answer, 403, "forbidden", origin, "EMSERVE_ALLOWED_ORIGINS")
        assert "access-control-allow-origin" not in answer.headers


def test_without_a_page_nothing_is_different_but_that_caches_know(http: httpx.Client, finished: Json) -> None:
    answer = http.get(f"{finished['links']['labels_zarr']}/zarr.json")
    assert "access-control-allow-origin" not in answer.headers
    assert "origin" in _listed(answer, "vary")


def test_pages_of_the_machine_itself_get_no_more_than_before(http: httpx.Client) -> None:
    origin = {"Origin": "http://localhost:3000"}
    assert "access-control-allow-origin" not in http.get("/v1/jobs", headers=origin).headers
    refused(
        http.options("/v1/jobs", headers={**origin, "Access-Control-Request-Method": "GET"}),
        405,
        "method-not-allowed",
    )

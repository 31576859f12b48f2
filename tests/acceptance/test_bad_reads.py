"""Questions that have no answer: unknown jobs, results that are not there, wrong methods and filters."""

import httpx
import pytest

from tests.acceptance.exchange import NOBODY, Json, refused

_PARTS = ["", "/labels", "/objects", "/preview.png", "/provenance"]


@pytest.mark.parametrize("part", _PARTS)
def test_a_job_that_nobody_sent(http: httpx.Client, part: str) -> None:
    refused(http.get(f"/v1/jobs/{NOBODY}{part}"), 404, "job-not-found", NOBODY, "GET /v1/jobs")


def test_cancelling_a_job_that_nobody_sent(http: httpx.Client) -> None:
    refused(http.post(f"/v1/jobs/{NOBODY}/cancel"), 404, "job-not-found", NOBODY)


@pytest.mark.parametrize("part", _PARTS)
@pytest.mark.parametrize(
    "job_id",
    ["..", "...", "a" * 65, "b" * 5000, "%C3%A9%E2%98%83", "a%20b", "%00", "a%0Ab", "*", "%FF", "a.json"],
    ids=lambda job_id: job_id[:12],
)
def test_a_job_id_that_is_none(http: httpx.Client, job_id: str, part: str) -> None:
    response = http.get(f"/v1/jobs/{job_id.replace('.', '%2E')}{part}")
    refused(response, 404, "job-not-found", "GET /v1/jobs")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/..%2F..",
        "/v1/jobs/..%2F..%2Flabels",
        f"/v1/jobs/{NOBODY}%2Fnothing",
        "/v1/jobs//labels",
        "/v1/jobs/%2Fetc%2Fpasswd/labels",
        "/v1/nothing",
        "/v2/jobs",
        "/etc/passwd",
    ],
)
def test_a_path_with_nothing_there(http: httpx.Client, path: str) -> None:
    refused(http.get(path), 404, "not-found", "/docs")


@pytest.mark.parametrize("part", _PARTS[1:])
def test_a_failed_job_has_no_results_but_a_reason(http: httpx.Client, failed: Json, part: str) -> None:
    assert failed["status"] == "failed"
    assert failed["error"]["type"] == "urn:emserve:problem:image-values"
    assert failed["error"]["kind"] == "user"
    assert failed["error"]["request_id"] == "of-the-failed-one"
    assert set(failed["links"]) == {"self"}
    response = http.get(f"/v1/jobs/{failed['id']}{part}")
    refused(response, 409, "no-result", failed["error"]["detail"], "NaN or infinite", "row 3, column 5")
    assert "retry-after" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", {"GET", "HEAD", "POST"}),
        ("DELETE", "/v1/jobs", {"GET", "HEAD", "POST"}),
        ("PATCH", f"/v1/jobs/{NOBODY}", {"DELETE", "GET", "HEAD"}),
        ("GET", f"/v1/jobs/{NOBODY}/cancel", {"POST"}),
        ("POST", f"/v1/jobs/{NOBODY}/labels", {"GET", "HEAD"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("POST", "/livez", {"GET", "HEAD"}),
    ],
)
def test_a_method_that_is_not_there(http: httpx.Client, method: str, path: str, allowed: set[str]) -> None:
    response = http.request(method, path)
    refused(response, 405, "method-not-allowed", method, "Allow")
    assert {each.strip() for each in response.headers["allow"].split(",")} == allowed


@pytest.mark.parametrize(
    ("part", "accept"),
    [
        ("labels", "text/html"),
        ("labels", "image/png;q=0"),
        ("objects", "text/*, text/csv;q=0"),
        ("labels", "application/x-hdf5, video/*"),
        ("objects", "image/png"),
        ("objects", "application/vnd.apache.parquet"),
    ],
)
def test_a_kind_of_file_that_is_not_offered(
    http: httpx.Client, finished: Json, part: str, accept: str
) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}/{part}", headers={"Accept": accept})
    refused(response, 406, "not-acceptable", accept, "?format=")


@pytest.mark.parametrize(
    ("part", "name"), [("labels", "hdf5"), ("labels", "csv"), ("objects", "png"), ("labels", "")]
)
def test_a_format_that_is_not_offered(http: httpx.Client, finished: Json, part: str, name: str) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}/{part}", params={"format": name})
    problem = refused(response, 422, "invalid-request", f"'{name}'", "npy" if part == "labels" else "csv")
    assert problem["errors"][0]["pointer"] == "/query/format"


@pytest.mark.parametrize("token", ["%%%", "a", "Li4vLi4", "8J+Yhw", "é", "AAAA"])
def test_a_page_token_of_somebody_else(http: httpx.Client, token: str) -> None:
    problem = refused(
        http.get("/v1/jobs", params={"page_token": token}), 422, "invalid-request", "next_page_token"
    )
    assert problem["errors"][0]["pointer"] == "/query/page_token"


@pytest.mark.parametrize("tag", ["sample", "", ":value"])
def test_a_tag_filter_that_is_none(http: httpx.Client, tag: str) -> None:
    problem = refused(
        http.get("/v1/jobs", params={"tag": tag}), 422, "invalid-request", "key:value", f"'{tag}'"
    )
    assert problem["errors"][0]["pointer"] == "/query/tag"


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("status", "done", "succeeded"),
        ("page_size", "0", "1"),
        ("page_size", "101", "100"),
        ("page_size", "many", "integer"),
        ("created_after", "yesterday", "date"),
        ("created_after", "0.0", "date"),
        ("created_after", "2026-11-23", "date"),
        ("created_after", "2026-11-23T17:00:00", "timezone"),
    ],
)
def test_a_filter_out_of_range(http: httpx.Client, name: str, value: str, limit: str) -> None:
    problem = refused(http.get("/v1/jobs", params={name: value}), 422, "invalid-request", value, limit)
    assert problem["errors"][0]["pointer"] == f"/query/{name}"
    assert "Value error" not in problem["detail"]


@pytest.mark.parametrize("wait", ["-1", "soon", "1.5"])
def test_a_wait_that_is_none(http: httpx.Client, finished: Json, wait: str) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}", params={"wait": wait})
    problem = refused(response, 422, "invalid-request", wait)
    assert problem["errors"][0]["pointer"] == "/query/wait"


@pytest.mark.parametrize("prefer", ["wait=soon", "wait", "wait=-1", "return=minimal", ";;;"])
def test_a_preference_that_is_none_is_ignored(http: httpx.Client, finished: Json, prefer: str) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}", headers={"Prefer": prefer})
    assert response.status_code == 200
    assert "preference-applied" not in response.headers


@pytest.mark.parametrize(
    ("path", "name", "remedy"),
    [
        ("/v1/jobs?modle=mitonet", "modle", "model"),
        ("/v1/jobs/{job}?wiat=3", "wiat", "wait"),
        ("/v1/jobs/{job}/labels?zz=3", "zz", "z"),
        ("/v1/jobs/{job}/labels.zarr/zarr.json?clas=mito", "clas", "class"),
        ("/v1/jobs/{job}/objects?Format=csv", "Format", "format"),
        ("/v1/jobs/{job}/provenance?format=xml", "format", "takes none"),
        ("/v1/models?page=2", "page", "takes none"),
        ("/v1/models?a/b~=2", "a/b~", "takes none"),
    ],
)
def test_a_misspelt_query_is_refused_by_name(
    http: httpx.Client, finished: Json, path: str, name: str, remedy: str
) -> None:
    response = http.get(path.format(job=finished["id"]))
    refused(response, 422, "invalid-request", repr(name), remedy)
    assert response.json()["errors"][0]["pointer"] == "/query/" + name.replace("~", "~0").replace("/", "~1")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/jobs?tag=run:1&tag=sample:S-3", "tag"),
        ("/v1/jobs?status=failed&page_size=3&status=failed", "status"),
        ("/v1/jobs/{job}/labels?z=1&z=2", "z"),
    ],
)
def test_of_a_query_given_twice_none_is_chosen(
    http: httpx.Client, finished: Json, path: str, name: str
) -> None:
    problem = refused(http.get(path.format(job=finished["id"])), 422, "invalid-request", "more than once")
    assert problem["errors"][0]["pointer"] == f"/query/{name}"


def test_an_upload_that_names_two_models_is_refused(http: httpx.Client, cell: bytes) -> None:
    response = http.post("/v1/jobs?model=mitonet&model=dropnet", content=cell)
    problem = refused(response, 422, "invalid-request", "'model'", "more than once")
    assert problem["errors"][0]["pointer"] == "/query/model"

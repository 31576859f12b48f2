"""Every error has one shape: a problem after RFC 9457, whichever route and whatever cause."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.acceptance.exchange import NOBODY, Json, post
from tests.pictures import phantom, tiff

_MEMBERS = {"type", "title", "status", "detail", "instance", "errors", "request_id", "kind"}
_LEAKS = (
    "Traceback",
    ".py",
    "Error(",
    "Exception",
    "pydantic",
    "starlette",
    "obstore",
    "/store/",
    "site-packages",
)


@dataclass(frozen=True)
class Fault:
    """A request that is refused."""

    name: str
    status: int
    send: Callable[[httpx.Client], httpx.Response]


def _get(name: str, status: int, path: str, **headers: str) -> Fault:
    return Fault(name, status, lambda http: http.get(path, headers=headers))


def _post(name: str, status: int, path: str, body: bytes = b"", **headers: str) -> Fault:
    return Fault(name, status, lambda http: http.post(path, content=body, headers=headers))


def _form(name: str, status: int, image: bytes | None = None, **parts: Json) -> Fault:
    def send(http: httpx.Client) -> httpx.Response:
        given = tiff(phantom(side=64).image) if image is None else image
        return post(http, given, **parts)

    return Fault(name, status, send)


_FAULTS = [
    _get("unknown path", 404, "/nowhere"),
    _get("unknown job", 404, f"/v1/jobs/{NOBODY}"),
    _get("malformed job", 404, "/v1/jobs/a%20b"),
    _get("labels of an unknown job", 404, f"/v1/jobs/{NOBODY}/labels"),
    _get("objects of an unknown job", 404, f"/v1/jobs/{NOBODY}/objects"),
    _get("preview of an unknown job", 404, f"/v1/jobs/{NOBODY}/preview.png"),
    _get("provenance of an unknown job", 404, f"/v1/jobs/{NOBODY}/provenance"),
    _get("unknown model", 404, "/v1/models/nothing"),
    _get("unknown host", 403, "/v1/jobs", Host="evil.example"),
    _get("foreign origin", 403, "/v1/jobs", Origin="https://evil.example"),
    _get("unacceptable", 406, f"/v1/jobs/{NOBODY}/labels", Accept="text/html"),
    _get("unknown format", 422, f"/v1/jobs/{NOBODY}/labels?format=hdf5"),
    _get("wrong status", 422, "/v1/jobs?status=done"),
    _get("wrong page size", 422, "/v1/jobs?page_size=0"),
    _get("wrong page token", 422, "/v1/jobs?page_token=%25"),
    _get("wrong tag", 422, "/v1/jobs?tag=x"),
    _get("wrong wait", 422, f"/v1/jobs/{NOBODY}?wait=soon"),
    _get("wrong readiness", 422, "/readyz?require=gpu"),
    _post("cancel of an unknown job", 404, f"/v1/jobs/{NOBODY}/cancel"),
    Fault("delete of an unknown job", 404, lambda http: http.delete(f"/v1/jobs/{NOBODY}")),
    _post("wrong method", 405, "/livez"),
    _post("wrong method of a job", 405, f"/v1/jobs/{NOBODY}"),
    _post("empty body", 422, "/v1/jobs?model=mitonet"),
    _post("no image", 415, "/v1/jobs?model=mitonet", b"text"),
    _post(
        "form-encoded body", 415, "/v1/jobs", b"a=b", **{"Content-Type": "application/x-www-form-urlencoded"}
    ),
    _post("broken form", 422, "/v1/jobs", b"x", **{"Content-Type": "multipart/form-data"}),
    _form("empty image", 422, b""),
    _form("truncated image", 422, b"II*\0\x08\0\0\0"),
    _form("unknown model in a form", 422, model="unet"),
    _form("missing weights", 422, model="mitonet@1"),
    _form("unknown parameter", 422, params='{"x": 1}'),
    _form("wrong parameter", 422, params='{"min_size": -1}'),
    _form("broken parameters", 422, params="{"),
    _form("wrong tags", 422, tags="[]"),
    _form("unknown part", 422, callback="{}"),
]


@pytest.fixture(scope="module")
def documented() -> set[str]:
    """The types of problems that docs/problems.md explains."""
    page = Path(__file__).parents[2] / "docs" / "problems.md"
    return set(re.findall(r"^\| `([a-z-]+)` \|", page.read_text(), re.MULTILINE))


@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: fault.name)
def test_every_error_has_the_same_shape(http: httpx.Client, fault: Fault) -> None:
    response = fault.send(http)
    assert response.status_code == fault.status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    problem = response.json()
    assert set(problem) == _MEMBERS
    assert problem["type"].startswith("urn:emserve:problem:")
    assert problem["status"] == fault.status
    assert problem["kind"] == "user"
    assert problem["instance"] == response.request.url.path
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["title"]
    assert len(problem["detail"]) > 20
    for each in problem["errors"]:
        assert set(each) == {"pointer", "detail"}
        assert each["pointer"].startswith("/")
    for leak in _LEAKS:
        assert leak not in response.text


@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: fault.name)
def test_every_type_of_error_is_documented(http: httpx.Client, documented: set[str], fault: Fault) -> None:
    assert fault.send(http).json()["type"].removeprefix("urn:emserve:problem:") in documented

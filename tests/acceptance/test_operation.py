"""What operators look at, and whom the service answers."""

import base64
import hashlib
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.exchange import Json, refused
from tests.running_service import RunningService


def test_the_process_says_that_it_lives(http: httpx.Client) -> None:
    response = http.get("/livez")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize("path", ["/readyz", "/readyz?require=worker"])
def test_the_service_says_that_it_is_ready(http: httpx.Client, path: str) -> None:
    response = http.get(path)
    assert response.status_code == 200
    told = response.json()
    assert [told[name] for name in ("status", "redis", "storage", "disk")] == ["ready", "ok", "ok", "ok"]
    (worker,) = told["workers"]
    assert worker["device"] == "cpu"


def test_readiness_of_an_unknown_part_is_refused(http: httpx.Client) -> None:
    refused(http.get("/readyz?require=gpu"), 422, "invalid-request", "gpu", "worker")


def test_metrics_count_requests_and_jobs(http: httpx.Client, finished: Json) -> None:
    response = http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    for name in (
        "emserve_broker_up 1.0",
        "emserve_workers 1.0",
        "emserve_queued_jobs",
        "emserve_running_jobs",
    ):
        assert name in response.text
    assert 'route="/v1/jobs"' in response.text
    assert finished["id"] not in response.text


def test_the_measurements_served_are_those_that_the_documentation_explains(http: httpx.Client) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    explained = set(re.findall(r"^\| `(emserve_\w+)` \|", page, re.MULTILINE))
    text = http.get("/metrics").text
    assert set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)) == explained
    families = list(text_string_to_metric_families(text))
    assert len(families) == len(explained)
    assert [family.name for family in families if not family.documentation] == []


def test_the_contract_can_be_read(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert {"/v1/jobs", "/v1/jobs/{job_id}", "/v1/jobs/{job_id}/labels", "/v1/models"} <= set(
        document["paths"]
    )


def test_the_front_page_leads_to_the_documentation(http: httpx.Client) -> None:
    response = http.get("/")
    assert response.is_redirect
    assert response.headers["location"] == "/docs"
    assert http.get("/docs").status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/v1/jobs/none", "/nowhere"])
def test_a_request_id_is_echoed(http: httpx.Client, path: str) -> None:
    response = http.get(path, headers={"X-Request-ID": "my-id.1"})
    assert response.headers["x-request-id"] == "my-id.1"
    if response.is_error:
        assert response.json()["request_id"] == "my-id.1"


@pytest.mark.parametrize("given", [None, "with space", "x" * 129, "<script>"])
def test_a_request_without_a_decent_id_gets_one(http: httpx.Client, given: str | None) -> None:
    response = http.get("/livez", headers={"X-Request-ID": given} if given else {})
    assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["x-request-id"])


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example", ""])
def test_an_unknown_host_is_refused(http: httpx.Client, host: str) -> None:
    refused(http.get("/v1/jobs", headers={"Host": host}), 403, "forbidden", host, "EMSERVE_ALLOWED_HOSTS")


@pytest.mark.parametrize("field", ["Host: localhost", "Origin: http://localhost"])
def test_of_two_hosts_or_origins_none_is_believed(service: RunningService, field: str) -> None:
    name = field.partition(":")[0]
    lines = ["GET /v1/jobs HTTP/1.1", field, f"{name}: http://evil.example", "Connection: close"]
    if name != "Host":
        lines.append("Host: localhost")
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_the_machine_itself_is_a_known_host(http: httpx.Client, host: str) -> None:
    assert http.get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
def test_a_page_of_another_site_is_refused(http: httpx.Client, origin: str) -> None:
    refused(http.get("/v1/jobs", headers={"Origin": origin}), 403, "forbidden", origin)


def test_a_page_of_this_service_is_answered(http: httpx.Client) -> None:
    assert http.get("/v1/jobs", headers={"Origin": "http://localhost:8000"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (path, "localhost")
        for path in (
            "/",
            "/livez",
            "/v1/jobs",
            "/v1/jobs/none",
            "/nowhere",
            "/metrics",
            "/docs",
            "/openapi.json",
        )
    ]
    + [("/v1/jobs", "evil.example")],
)
def test_every_answer_is_strict_with_browsers(http: httpx.Client, path: str, host: str) -> None:
    headers = http.get(path, headers={"Host": host}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_the_documentation_page_may_run_its_own_script_and_no_other(http: httpx.Client) -> None:
    response = http.get("/docs")
    scripts = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts]
    sources = " ".join(f"'sha256-{each}'" for each in hashes)
    assert hashes
    assert f"script-src 'self' {sources};" in response.headers["content-security-policy"]


def test_answers_on_a_kept_connection_do_not_wait_for_the_network(http: httpx.Client) -> None:
    seconds = [http.get("/livez").elapsed.total_seconds() for _ in range(40)]
    # With TCP's delays on, each waits 40 ms for an acknowledgement; without, the best takes about 1 ms.
    assert min(seconds[20:]) < 0.03


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v1/jobs", "/v1/models", "/openapi.json", "/docs"])
def test_what_can_be_read_can_be_asked_for_without_its_body(http: httpx.Client, path: str) -> None:
    head, get = http.head(path), http.get(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


def test_a_missing_job_is_missing_without_its_body_too(http: httpx.Client) -> None:
    assert http.head("/v1/jobs/0199-none").status_code == 404


def test_the_documentation_page_needs_no_other_host(http: httpx.Client) -> None:
    page = http.get("/docs").text
    sources = re.findall(r"(?:src|href)=[\"']([^\"']+)[\"']", page)
    assert any(source.endswith(".js") for source in sources)
    for source in sources:
        assert source.startswith("/"), source
        assert http.get(source).status_code == 200

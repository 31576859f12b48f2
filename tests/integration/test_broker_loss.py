"""The broker is killed, or loses all that it knew: no job is lost."""

import contextlib

import httpx
import psutil

from emserve.settings import Settings
from emserve.tickets import connect
from tests.integration.api_calls import read, runs, submit, succeeded
from tests.integration.workshop import eventually
from tests.pictures import large_image
from tests.running_service import RunningService


def test_jobs_outlive_a_killed_broker(service: RunningService, http: httpx.Client) -> None:
    running, *queued = (submit(http, large_image(side)) for side in (1024, 256, 256))
    runs(http, running)
    broker = service.part("broker")
    broker.kill()

    assert succeeded(http, running).attempt == 1
    for job_id in queued:
        succeeded(http, job_id)
    assert service.part("broker").pid != broker.pid


def test_jobs_are_readable_while_the_broker_is_away(service: RunningService, http: httpx.Client) -> None:
    job_id = submit(http, large_image(256))
    succeeded(http, job_id)
    broker = service.part("broker")
    broker.suspend()
    try:
        assert http.get("/livez").status_code == 200
        assert read(http, job_id).status.ended
    finally:
        broker.resume()


def test_a_broker_that_lost_everything_is_told_again(service: RunningService, http: httpx.Client) -> None:
    ended = submit(http, large_image(256))
    succeeded(http, ended)
    running, *queued = (submit(http, large_image(side)) for side in (1536, 256, 256))
    runs(http, running)
    with contextlib.closing(connect(Settings(data_dir=service.data_dir).redis_url)) as redis:
        redis.flushall()

    for job_id in (running, *queued):
        succeeded(http, job_id)
    everything = {ended, running, *queued}

    def listed() -> set[str]:
        return {job["id"] for job in http.get("/v1/jobs", params={"page_size": 100}).json()["jobs"]}

    eventually(lambda: everything <= listed(), "the rebuilt list")
    assert psutil.pid_exists(service.part("worker-cpu-1").pid)
    again = submit(http, large_image(256))
    succeeded(http, again)


def test_a_broker_that_refuses_to_write_is_named_and_can_be_read(
    service: RunningService, http: httpx.Client
) -> None:
    with contextlib.closing(connect(Settings(data_dir=service.data_dir).redis_url)) as redis:
        redis.sadd("emserve:workers", "gone")  # whoever reads wants to drop it
        redis.config_set("min-replicas-to-write", 1)
        try:
            readiness, metrics = http.get("/readyz").json(), http.get("/metrics").text
            models = http.get("/v1/models")
        finally:
            redis.config_set("min-replicas-to-write", 0)
        assert readiness["type"] == "urn:emserve:problem:not-ready"
        assert [each["pointer"] for each in readiness["errors"]] == ["/redis"]
        assert "refuses to write" in readiness["detail"]
        assert "emserve_broker_up 1.0" in metrics
        assert "\nemserve_workers " in metrics
        assert models.status_code == 200
        assert [each["name"] for each in http.get("/readyz").json()["workers"]] != []
        assert not redis.sismember("emserve:workers", "gone")

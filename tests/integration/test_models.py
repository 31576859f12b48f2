"""Models that come and go while the service runs, and the memory that they take."""

import json
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import obstore
import pytest
from prometheus_client.parser import text_string_to_metric_families

from emserve import storage
from emserve.cards import removal_mark
from emserve.client import Client
from emserve.installer.folder import ModelFolder
from emserve.jobs import Job, PinnedModel
from tests.commands import refused, run
from tests.integration.api_calls import submit, succeeded
from tests.integration.workshop import PATIENCE_SECONDS, Worker, Workshop, eventually, record_of
from tests.lab import install, small_export
from tests.pictures import tiff
from tests.running_service import RunningService, running_service

_IMAGE = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
_MODEL_BYTES = 2_000_000  # nearly; two of them fit into the budget, three do not
Json = Any  # a body as any client sees it


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_export(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with room for two small models, or one starter; of its warm list one is not installed."""
    settings = {
        "EMSERVE_MODEL_MEMORY_BYTES": str(int(2.5 * _MODEL_BYTES)),
        "EMSERVE_WARM_MODELS": '["mitonet-mini", "mitonet"]',
    }
    with running_service(tmp_path_factory.mktemp("lab") / "data", settings=settings) as service:
        yield service


@pytest.fixture
def http(lab: RunningService) -> Iterator[httpx.Client]:
    with lab.client() as client:
        yield client


def shown(http: httpx.Client, name: str) -> Json:
    answer = http.get(f"/v1/models/{name}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def loaded(http: httpx.Client) -> set[str]:
    models = http.get("/v1/models").json()["models"]
    return {model["name"] for model in models if model["state"] == "loaded"}


def models_dir(lab: RunningService) -> Path:
    return lab.data_dir / "models"


def remove(lab: RunningService, name: str) -> subprocess.CompletedProcess[str]:
    return run("models", "remove", name, "--data-dir", lab.data_dir)


def test_models_come_without_a_restart_and_the_least_used_makes_room(
    lab: RunningService, http: httpx.Client, export: Path
) -> None:
    assert loaded(http) == {"mitonet"}  # the one that is not there cost it nothing
    for name in ("a", "b", "c"):
        install(models_dir(lab), name, export)
        assert shown(http, name)["state"] == "available"
    for name in ("a", "b", "a", "c"):
        job = succeeded(http, submit(http, _IMAGE, name))
        assert job.model.sha256 == shown(http, name)["sha256"]
    eventually(lambda: loaded(http) == {"a", "c"}, "b to make room")

    model = shown(http, "a")
    (residency,) = model["residents"]
    assert 0.5 * _MODEL_BYTES < residency["bytes"] < 1.2 * _MODEL_BYTES
    assert residency["device"] == "cpu"
    assert residency["load_seconds"] > 0
    assert model["speed"]["pixels"] == 2 * _IMAGE.size
    assert model["speed"]["pixels_per_second"] == pytest.approx(2 * _IMAGE.size / model["speed"]["seconds"])
    assert shown(http, "mitonet-mini")["speed"] is None
    held = {"model": "a@1", "device": "cpu", "worker": residency["worker"]}
    assert metric(http, "model_resident_bytes", **held) == residency["bytes"]
    assert [metric(http, "model_loads_total", model=f"{name}@1") for name in "abc"] == [1, 1, 1]
    assert metric(http, "model_evictions_total", model="b@1") == 1
    assert metric(http, "model_evictions_total", model="mitonet@starter") == 1
    assert metric(http, "model_pixels_total", model="a@1") == 2 * _IMAGE.size
    assert metric(http, "model_load_seconds_total", model="c@1") > 0
    assert metric(http, "model_seconds_total", model="c@1") > 0


def metric(http: httpx.Client, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(http.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    (value,) = [each.value for each in samples if each.name == f"emserve_{name}" and each.labels == labels]
    return value


def test_a_model_that_jobs_need_is_not_removed(lab: RunningService, http: httpx.Client, export: Path) -> None:
    install(models_dir(lab), "needed", export)
    lab.child().suspend()
    try:
        job_id = submit(http, _IMAGE, "needed")
        refused(remove(lab, "needed"), "needed@1 is needed by jobs", job_id, "emserve cancel")
        assert shown(http, "needed")["state"] == "available"
    finally:
        lab.child().resume()
    succeeded(http, job_id)
    done = remove(lab, "needed")
    assert done.returncode == 0, done.stderr
    assert http.get("/v1/models/needed").status_code == 404
    answer = http.post("/v1/jobs", files={"image": ("a.tif", tiff(_IMAGE))}, data={"model": "needed"})
    assert answer.json()["type"].endswith("unknown-model")


def test_no_job_is_accepted_for_a_model_that_is_leaving(
    lab: RunningService, http: httpx.Client, export: Path
) -> None:
    card = install(models_dir(lab), "leaving", export)
    mark = removal_mark(models_dir(lab), card)
    mark.parent.mkdir()
    mark.touch()  # as by a removal that was killed
    answer = http.post("/v1/jobs", files={"image": ("a.tif", tiff(_IMAGE))}, data={"model": "leaving"})
    assert answer.status_code == 422, answer.text
    assert "leaving@1 is being removed at this very moment" in answer.json()["detail"]
    assert http.get("/v1/jobs", params={"model": "leaving"}).json()["jobs"] == []
    assert remove(lab, "leaving").returncode == 0
    assert not mark.parent.exists()


def test_of_a_removal_and_a_submission_at_once_one_is_refused(
    lab: RunningService, http: httpx.Client, export: Path
) -> None:
    card = install(models_dir(lab), "racing", export)
    folder = ModelFolder(models_dir(lab))
    files = {path: path.read_bytes() for path in (folder.weights_file(card), folder.card_file(card))}

    def send() -> httpx.Response:
        """Comes back when the job has ended, so that now and then there is none and a removal succeeds."""
        image = {"image": ("a.tif", tiff(_IMAGE))}
        return http.post("/v1/jobs", files=image, data={"model": "racing"}, headers={"Prefer": "wait=20"})

    over, answers, removals = threading.Event(), [], 0

    def send_on() -> None:
        while not over.is_set():
            answers.append(send())

    with ThreadPoolExecutor(1) as pool:
        sender = pool.submit(send_on)
        until = time.monotonic() + PATIENCE_SECONDS
        try:
            while len(answers) < 16 or not removals or not any(answer.is_success for answer in answers):
                assert time.monotonic() < until
                assert not sender.done()
                if remove(lab, "racing").returncode == 0:
                    removals += 1
                    for path, content in files.items():  # it is installed again, the weights first
                        path.write_bytes(content)
        finally:
            over.set()
    sender.result()
    accepted = [answer.json()["id"] for answer in answers if answer.is_success]
    refusals = {answer.json()["type"].rpartition(":")[2] for answer in answers if not answer.is_success}
    assert refusals <= {"invalid-request", "model-missing", "unknown-model"}
    for job_id in accepted:
        succeeded(http, job_id)
    listed = http.get("/v1/jobs", params={"model": "racing", "page_size": 100}).json()["jobs"]
    assert {job["id"] for job in listed} == set(accepted)
    assert remove(lab, "racing").returncode == 0


def test_files_that_are_no_models_cost_no_other(
    lab: RunningService, http: httpx.Client, export: Path
) -> None:
    folder = models_dir(lab)
    card = install(folder, "spoilt", export)
    weights = folder / "spoilt@1.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (folder / "broken@1.json").write_text("{")
    (folder / "copy of spoilt@1.json").write_text(card.model_dump_json())
    job_id = submit(http, _IMAGE, "spoilt")
    job = eventually(lambda: _ended(http, job_id), "the job's end")
    assert job.error is not None
    assert job.error.type.endswith("weights-changed")
    ids = {model["id"] for model in http.get("/v1/models").json()["models"]}
    assert "spoilt@1" in ids
    assert "broken@1" not in ids
    succeeded(http, submit(http, _IMAGE, "mitonet"))
    verified = run("models", "verify", "--data-dir", lab.data_dir)
    assert verified.returncode == 1
    assert "broken@1.json" in verified.stdout
    for name in ("spoilt@1.json", "spoilt@1.safetensors", "broken@1.json", "copy of spoilt@1.json"):
        (folder / name).unlink()


def _ended(http: httpx.Client, job_id: str) -> Job | None:
    job = Job.model_validate(http.get(f"/v1/jobs/{job_id}").json())
    return job if job.status.ended else None


def test_without_a_running_service_stored_jobs_are_asked(export: Path, tmp_path: Path) -> None:
    with running_service(tmp_path / "data", "--api-only") as service, service.client() as http:
        install(service.data_dir / "models", "later", export)
        job_id = submit(http, _IMAGE, "later")
        service.stop()
        refused(remove(service, "later"), job_id)
        assert (service.data_dir / "models" / "later@1.safetensors").exists()


def test_a_job_runs_with_the_weights_it_was_accepted_with_or_not_at_all(
    workshop: Workshop, worker: Worker
) -> None:
    assert worker.running.is_alive
    pinned = PinnedModel(name="mitonet", version="starter", sha256="0" * 64)
    record = record_of(_IMAGE.shape, model=pinned)
    obstore.put(workshop.book.store, storage.input_key(record.id), tiff(_IMAGE))
    workshop.book.accept(record)
    job = workshop.ended(record.id)
    assert job.error is not None
    assert job.error.type.endswith("model-changed")
    assert "0" * 64 in job.error.detail
    assert "upgraded while the job waited" in job.error.detail
    assert "Submit the image again" in job.error.detail


def test_a_class_is_asked_for_by_client_and_command(
    lab: RunningService, http: httpx.Client, tmp_path: Path
) -> None:
    install(models_dir(lab), "many", small_export(tmp_path, num_classes=4))
    noise = np.random.default_rng(4).normal(147, 33, (128, 96))
    image = noise.clip(0, 255).astype(np.uint8)
    job = succeeded(http, submit(http, image, "many"))
    (tmp_path / "cell.tif").write_bytes(tiff(image))
    submit_it = ("submit", tmp_path / "cell.tif", "--model", "many", "--url", lab.url)
    unknown = run(*submit_it, "--class", "nerve", "--out", tmp_path / "nerve.npy")
    assert unknown.returncode == 2
    assert "class-1, class-2, class-3" in " ".join(unknown.stderr.replace("│", "").split())
    files = (tmp_path / "second.npy", tmp_path / "second.json", tmp_path / "whole.png")
    saved = zip(("--out", "--objects", "--preview"), files, strict=True)
    done = run(*submit_it, "--class", "class-2", *(word for option in saved for word in option))
    assert done.returncode == 0, done.stderr
    with Client(lab.url) as client:
        rows = client.objects(job.id, only_class="class-2")
        assert rows == [row for row in client.objects(job.id) if row["class_id"] == 2]
        assert rows == client.objects(job.id, only_class=2) == json.loads(files[1].read_text())["objects"]
        only = client.labels(job.id, only_class=2)
        assert set(np.unique(only)) - {0} == {row["label"] for row in rows}
        assert (np.load(files[0]) == only).all()
        assert files[2].read_bytes() == client.preview(job.id)
        saved_zarr = client.save(job.id, "labels", tmp_path / "second.zarr.zip", only_class=2)
        assert zipfile.is_zipfile(saved_zarr)

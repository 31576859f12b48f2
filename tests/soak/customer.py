"""Somebody who sends images, waits, cancels, deletes and downloads at random, by a seed."""

import contextlib
import hashlib
import io
import random
import time
from collections.abc import Callable

import httpx
import numpy as np

from tests.pictures import large_image, phantom, tiff
from tests.soak.ledger import Entry, Json, Ledger

MOST_OPEN = 10  # jobs without an end, so that the queue stays short
_KILLED = "urn:emserve:problem:helper-died"  # what whoever waits for a killed image process is told
_LARGE = {"long": 1024, "longest": 2048}
_PLANNED = {400, 404, 408, 409, 410, 413, 415, 422, 429, 503}


def images() -> dict[str, bytes]:
    """What is sent, by name."""
    small = {f"small-{seed}": tiff(phantom(seed, 64).image, compression="zlib") for seed in range(1, 7)}
    large = {name: tiff(large_image(side), compression="zlib") for name, side in _LARGE.items()}
    return {**small, **large}


class Customer:
    """Speaks HTTP with both APIs; enters all that they promise into the ledger."""

    def __init__(self, urls: tuple[str, ...], ledger: Ledger, seed: int) -> None:
        self.ledger = ledger
        self.images = images()
        self._urls = urls
        self._chance = random.Random(seed)
        self._client = httpx.Client(timeout=60, trust_env=False)

    def act(self) -> None:
        """One random thing."""
        if len(self.ledger.open_ids()) >= MOST_OPEN:
            self.look()
            time.sleep(0.05)
            return
        chores: list[tuple[Callable[[], object], int]] = [
            (self._submit_any, 60),
            (self._cancel_any, 6),
            (self._delete_any, 6),
            (self._download_any, 10),
            (self._list, 3),
        ]
        self._chance.choices([each for each, _ in chores], [weight for _, weight in chores])[0]()

    def submit(self, image: str) -> str | None:
        """The id of an accepted job."""
        answer = self.ask(
            "POST", "/v1/jobs", files={"image": (f"{image}.tif", self.images[image])}, data=_MODEL
        )
        if answer is None or answer.status_code != 202:
            return None
        job = answer.json()
        self.ledger.accept(job, image)
        return str(job["id"])

    def read(self, job_id: str) -> Json | None:
        """The job, or None when it could not be asked for or was deleted."""
        answer = self.ask("GET", f"/v1/jobs/{job_id}")
        if answer is None or answer.status_code == 503:
            return None
        entry = self.ledger.entries[job_id]
        if answer.status_code == 410 and entry.delete_asked:
            return None
        if answer.status_code != 200:
            self.ledger.blame(f"{job_id} was accepted and answers {answer.status_code}")
            return None
        if entry.deleted:
            self.ledger.blame(f"{job_id} was deleted and answers 200")
            return None
        self.ledger.see(answer.json())
        return answer.json()

    def look(self) -> None:
        """Reads every job whose end has not been seen."""
        for job_id in self.ledger.open_ids():
            self.read(job_id)

    def settle(self, seconds: float) -> list[str]:
        """Waits until all accepted jobs have ended; those that did not in time."""
        deadline = time.monotonic() + seconds
        while self.ledger.open_ids() and time.monotonic() < deadline:
            self.look()
            time.sleep(0.2)
        return self.ledger.open_ids()

    def cancel(self, job_id: str) -> None:
        self.ledger.entries[job_id].cancel_asked = True
        self.ask("POST", f"/v1/jobs/{job_id}/cancel")

    def delete(self, job_id: str) -> None:
        entry = self.ledger.entries[job_id]
        entry.delete_asked = True
        answer = self.ask("DELETE", f"/v1/jobs/{job_id}")
        entry.deleted = answer is not None and answer.status_code == 204

    def result_fault(self, job_id: str, entry: Entry) -> str | None:
        """What is wrong with the result of a succeeded job, as it is downloaded."""
        labels = self.ask("GET", f"/v1/jobs/{job_id}/labels?format=npy")
        objects = self.ask("GET", f"/v1/jobs/{job_id}/objects?format=json")
        provenance = self.ask("GET", f"/v1/jobs/{job_id}/provenance")
        if labels is None or objects is None or provenance is None:
            return "connection broke"
        statuses = {each.status_code for each in (labels, objects, provenance)}
        if statuses != {200}:
            return f"answers {sorted(statuses)}"
        array = np.load(io.BytesIO(labels.content))
        wanted = entry.end["result"]
        if list(array.shape) != wanted["shape"] or int(array.max()) != wanted["objects"]:
            return f"has a label map of {array.shape} with {array.max()} objects, and says {wanted}"
        if len(objects.json()["objects"]) != wanted["objects"]:
            return "has another number of rows than of objects"
        digest = hashlib.sha256(labels.content).hexdigest()
        if self.ledger.results.setdefault(entry.image, digest) != digest:
            return f"has another label map than {entry.image} gave before"
        return None

    def ask(self, method: str, path: str, **what: Json) -> httpx.Response | None:
        """An answer; None when the connection broke. A server error that nobody planned is a violation."""
        url = self._chance.choice(self._urls)
        try:
            answer = self._client.request(method, url + path, **what)
        except httpx.TransportError as error:
            self.ledger.answers[type(error).__name__] += 1
            time.sleep(0.1)
            return None
        self.ledger.answers[str(answer.status_code)] += 1
        if answer.status_code >= 400 and answer.status_code not in _PLANNED and _KILLED not in answer.text:
            self.ledger.blame(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer

    def _submit_any(self) -> None:
        long = self._chance.random() < 0.03
        self.submit("long" if long else f"small-{self._chance.randint(1, 6)}")

    def _cancel_any(self) -> None:
        with contextlib.suppress(IndexError):
            self.cancel(self._chance.choice(self.ledger.open_ids()))

    def _delete_any(self) -> None:
        with contextlib.suppress(IndexError):
            self.delete(self._chance.choice(self.ledger.kept_ids()[-40:]))

    def _download_any(self) -> None:
        entries = [(one, self.ledger.entries[one]) for one in self.ledger.kept_ids()[-40:]]
        done = [(one, entry) for one, entry in entries if entry.end and entry.end["status"] == "succeeded"]
        if done:
            job_id, _ = self._chance.choice(done)
            kind = self._chance.choice(("labels", "labels?format=png", "objects?format=csv", "preview.png"))
            self.ask("GET", f"/v1/jobs/{job_id}/{kind}")

    def _list(self) -> None:
        self.ask("GET", "/v1/jobs?page_size=50")


_MODEL = {"model": "mitonet"}

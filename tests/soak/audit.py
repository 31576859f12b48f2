"""After everything: each accepted job has one end and its result, and nothing else is left anywhere."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from redis import Redis
from rq.utils import as_text

from emserve import storage
from emserve.book import JobBook
from emserve.broker import EmbeddedBroker
from emserve.jobs import MAX_ATTEMPTS, JobEnd, JobStatus
from emserve.sweeper import Sweeper
from emserve.tickets import connect
from tests.soak.customer import Customer
from tests.soak.house import House
from tests.soak.ledger import Entry, Json

_SETTLE_SECONDS = 180
_QUIET_SECONDS = 20
_LATER = timedelta(days=2)  # by then everything that a crash left is due


def audit_jobs(customer: Customer) -> dict[str, int]:
    """Looks at every accepted job through the API; how they ended."""
    ledger, counts = customer.ledger, {"deleted": 0, "succeeded": 0, "failed": 0, "cancelled": 0}
    for job_id in customer.settle(_SETTLE_SECONDS):
        ledger.blame(f"{job_id} was accepted and has no end: {customer.read(job_id)}")
    for job_id, entry in ledger.entries.items():
        if entry.delete_asked and entry.deleted:
            counts["deleted"] += 1
            answer = customer.ask("GET", f"/v1/jobs/{job_id}")
            if answer is None or answer.status_code != 410:
                ledger.blame(f"{job_id} was deleted and answers {answer}")
        elif customer.read(job_id) is None:  # only one that may be deleted may have no answer
            if not entry.delete_asked:
                ledger.blame(f"{job_id} could not be read")
        elif entry.end is not None:
            counts[entry.end["status"]] += 1
            fault = _fault(customer, job_id, entry)
            if fault:
                ledger.blame(f"{job_id} {fault}")
    return counts


def _fault(customer: Customer, job_id: str, entry: Entry) -> str | None:
    """What is wrong with how a job ended."""
    end = entry.end
    if end["status"] == "cancelled":
        return None if entry.cancel_asked else "was cancelled by nobody"
    if end["status"] == "failed":
        return None if _is_planned(end, entry) else f"of {entry.image} failed: {end['error']}"
    return customer.result_fault(job_id, entry)


def _is_planned(end: Json, entry: Entry) -> bool:
    """Whether a job may have failed so: killed three times, hostile, or its reader was killed."""
    if end["error"]["type"].endswith(":job-lost"):
        return bool(end["attempt"] == MAX_ATTEMPTS)
    return entry.image.startswith("hostile") or "crashed (SIGKILL)" in end["error"]["detail"]


def audit_broker(house: House) -> list[str]:
    """What the broker still holds of jobs that have ended."""
    with connect(house.settings.redis_url) as redis:
        deadline = time.monotonic() + _QUIET_SECONDS
        while (left := _left_in(redis)) and time.monotonic() < deadline:
            time.sleep(0.5)
    return left


def _left_in(redis: Redis) -> list[str]:
    lists = {key: int(redis.llen(key)) for key in ("rq:queue:emserve", "rq:queue:emserve:intermediate")}
    kept = {
        **lists,
        "rq:wip:emserve": redis.zcard("rq:wip:emserve"),
        "emserve:active": redis.scard("emserve:active"),
    }
    tickets = [as_text(key) for pattern in ("rq:job:*", "rq:execution:*") for key in redis.keys(pattern)]
    return [f"{key} holds {count}" for key, count in kept.items() if count] + tickets


def audit_folder(house: House) -> list[str]:
    """What lies in the data folder of a stopped service, and what of it two days of sweeping leave."""
    faults = [f"{each} still runs" for each in house.running()]
    faults += [f"{each} was left" for each in (house.data_dir / "scratch").glob("*")]
    faults += [f"{each} was left" for each in house.temporary.rglob("*") if each.is_file()]
    if faults:
        return faults
    with EmbeddedBroker(house.settings), connect(house.settings.redis_url) as redis:
        book = JobBook(storage.open_store(house.settings.storage_url), redis)
        sweeper = Sweeper(book, house.settings)
        for _ in range(2):
            redis.delete("emserve:lock:sweeper")
            sweeper.run_once(datetime.now(UTC) + _LATER)
    store = house.data_dir / "store"
    faults += [f"{each} was left" for each in store.rglob("*#*")]
    faults += [fault for folder in (store / "jobs").iterdir() for fault in _folder_faults(folder)]
    return faults


def _folder_faults(folder: Path) -> list[str]:
    if not (folder / "job.json").exists() or not (folder / "end.json").exists():
        return [f"{folder} holds {sorted(each.name for each in folder.iterdir())}"]
    end = JobEnd.model_validate_json((folder / "end.json").read_bytes())
    if end.status is JobStatus.SUCCEEDED and end.execution_id is None:
        return [f"{folder} succeeded without an attempt"]
    attempts = [each for each in (folder / "attempts").glob("*") if each.name != end.execution_id]
    return [
        f"{path} is left of a dead attempt"
        for attempt in attempts
        for path in attempt.rglob("*")
        if path.name != "attempt.json" and path.is_file()
    ]

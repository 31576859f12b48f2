"""Every trouble once, one by one, while a job runs: how long until it goes on."""

import time
from dataclasses import asdict, dataclass

from tests.soak.customer import Customer
from tests.soak.house import House
from tests.soak.ledger import ENDED, Json
from tests.soak.troubles import Trouble
from tests.soak.watch import Watch

_RUN_SECONDS = 60
RESTART_SECONDS = 15  # what the service promises for a killed job
WARM_SECONDS = 5  # and for the next job, on a machine that has nothing else to do
_NEXT_SECONDS = 90


@dataclass(frozen=True)
class Recovery:
    """What one trouble cost."""

    trouble: str
    attempts: int
    """Which attempt made the job's end."""
    restart_seconds: float | None
    """From the trouble to the job's next attempt; None where it kept its attempt."""
    next_seconds: float
    """From the trouble's end to the success of an image that was sent after it."""
    silence_seconds: float
    """The longest time without an answer of /livez."""

    def row(self) -> Json:
        return asdict(self)


def drill(house: House, customer: Customer, watch: Watch, trouble: Trouble) -> Recovery | None:
    """None, with a violation, if the service did not recover."""
    ledger = customer.ledger
    job_id = _running(customer)
    if job_id is None:
        ledger.blame(f"{trouble.name}: no job would run before it")
        return None
    watch.silence_seconds = 0.0
    struck = time.monotonic()
    trouble.strike(house)
    over = time.monotonic()
    restarted, done = _follow(customer, job_id)
    if done is None or customer.settle(_NEXT_SECONDS):
        ledger.blame(f"{trouble.name}: the service did not recover within {_NEXT_SECONDS} s")
        return None
    end = ledger.entries[job_id].end
    if end["status"] != "succeeded":
        ledger.blame(f"{trouble.name}: its job ended {end['status']}: {end['error']}")
    if restarted is not None and restarted - over > RESTART_SECONDS:
        ledger.blame(f"{trouble.name}: its job started again after {restarted - over:.1f} s")
    if done - over > WARM_SECONDS:
        ledger.blame(f"{trouble.name}: the next image was done only after {done - over:.1f} s")
    house.open_second()
    restart_seconds = None if restarted is None else restarted - struck
    return Recovery(trouble.name, end["attempt"], restart_seconds, done - over, watch.silence_seconds)


def _running(customer: Customer) -> str | None:
    """A job whose network runs."""
    deadline = time.monotonic() + _RUN_SECONDS
    job_id = None
    while time.monotonic() < deadline:
        job_id = job_id or customer.submit("longest")
        job = customer.read(job_id) if job_id else None
        if job is not None and job["stage"] == "infer":
            return job_id
        if job is not None and job["status"] in ENDED:  # too quick for us
            job_id = None
        time.sleep(0.02)
    return None


def _follow(customer: Customer, job_id: str) -> tuple[float | None, float | None]:
    """When the job was seen in another attempt, None if it ended in the one that it had; and when an image
    that was sent after the trouble had its result."""
    deadline = time.monotonic() + _NEXT_SECONDS
    restarted = done = next_id = None
    goes_on = True
    while time.monotonic() < deadline and (done is None or goes_on):
        next_id = next_id or customer.submit("small-1")
        job, next_job = (customer.read(one) if one else None for one in (job_id, next_id))
        if goes_on and job is not None and job["attempt"] > 1 and job["status"] in ("running", *ENDED):
            restarted = time.monotonic()
        goes_on = goes_on and restarted is None and (job is None or job["status"] not in ENDED)
        if done is None and next_job is not None and next_job["status"] in ENDED:
            done = time.monotonic()
        time.sleep(0.05)
    return restarted, done

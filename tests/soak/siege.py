"""What strangers send: mutated files, and requests made from the contract."""

import httpx

from tests.contract import Examination, Sample, examine
from tests.hostile import corpus
from tests.soak.customer import Customer
from tests.soak.house import House
from tests.soak.ledger import ENDED
from tests.soak.watch import Watch

API_BYTES = 300e6
_SETTLE_SECONDS = 180


def send_files(house: House, customer: Customer, watch: Watch, seed: int, count: int) -> dict[str, int]:
    """Sends mutated files; how many were refused, and how those that were taken ended."""
    ledger, outcomes, taken = customer.ledger, dict.fromkeys(("refused", *ENDED), 0), {}
    watch.peak_bytes.clear()
    with httpx.Client(base_url=house.url, timeout=90, trust_env=False) as client:
        for number, (name, value) in zip(range(count), corpus(seed), strict=False):
            answer = client.post("/v1/jobs", files={"image": ("cell.tif", value)}, data={"model": "mitonet"})
            if answer.status_code == 202:
                taken[answer.json()["id"]] = name
                ledger.accept(answer.json(), f"hostile {number}")
            elif answer.status_code in (415, 422):
                outcomes["refused"] += 1
            else:
                ledger.blame(f"{name}: {answer.status_code} {answer.text[:300]}")
    customer.settle(_SETTLE_SECONDS)
    for job_id, name in taken.items():
        end = ledger.entries[job_id].end
        if end is None:
            continue
        outcomes[end["status"]] += 1
        if end["status"] == "failed" and end["error"]["kind"] != "user":
            ledger.blame(f"{name}: {end['error']}")
    if watch.peak_bytes.get("api", 0) > API_BYTES:
        ledger.blame(f"the API took {watch.peak_bytes['api'] / 1e6:.0f} MB while mutated files came")
    good = customer.submit("small-1")
    customer.settle(_SETTLE_SECONDS)
    if good is None or (ledger.entries[good].end or {}).get("status") != "succeeded":
        ledger.blame("a good image did not succeed after the mutated files")
    return outcomes


def send_requests(house: House, customer: Customer, seed: int, count: int) -> Examination:
    """Sends requests made from the contract; whatever it does not know is a violation."""
    done = [one for one in customer.ledger.kept_ids() if customer.ledger.entries[one].end][-2:]
    sample = Sample({"job_id": done, "reference": ["mitonet", "dropnet@1"]}, customer.images["small-1"])
    for job_id in done:
        customer.ledger.entries[job_id].delete_asked = True  # it may be: the ids are in the requests
    found = examine(house.url, count, sample, first_seed=seed)
    for name, text in found.faults.items():
        customer.ledger.blame(f"{name}\n{text}")
    return found

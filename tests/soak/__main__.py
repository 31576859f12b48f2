"""`make soak MINUTES=10`: torments a service for as long, then looks whether it kept every promise.

Ends with 1, and keeps the service's folder, if it broke one. One seed chooses the same acts and troubles.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.soak.audit import audit_broker, audit_folder, audit_jobs
from tests.soak.customer import Customer
from tests.soak.drill import Recovery, drill
from tests.soak.house import House
from tests.soak.ledger import Json, Ledger
from tests.soak.report import markdown
from tests.soak.siege import send_files, send_requests
from tests.soak.troubles import TROUBLES, Trouble
from tests.soak.watch import WEIGHED, Watch

_STORM_SHARE = 0.7  # the rest of the time the API and its supervisor are spared, to see whether they grow
_FILES_PER_MINUTE = 100
_REQUESTS_PER_MINUTE = 1000
_GROWTH = 1.05
_WARM_SECONDS = 0.2  # share of the calm before memory is first looked at


class Soak:
    """All phases, and what came of them."""

    def __init__(self, house: House, minutes: float, seed: int, bar: Progress) -> None:
        self._house = house
        self._minutes = minutes
        self._seed = seed
        self._bar = bar
        self._chance = random.Random(seed)
        self._ledger = Ledger()
        self._customer = Customer((house.url, house.second_url), self._ledger, seed)
        self.summary: Json = {"minutes": minutes, "seed": seed}

    def run(self) -> Json:
        self._house.open()
        with Watch(self._house) as watch:
            self._drill(watch)
            self._storm(self._minutes * _STORM_SHARE, TROUBLES, "storm")
            self._calm(watch)
            self._siege(watch)
            self.summary["jobs"] = audit_jobs(self._customer)
        for fault in audit_broker(self._house):
            self._ledger.blame(fault)
        self._house.close()
        for fault in audit_folder(self._house):
            self._ledger.blame(fault)
        self.summary["accepted"] = len(self._ledger.entries)
        self.summary["answers"] = dict(sorted(self._ledger.answers.items()))
        self.summary["violations"] = self._ledger.violations
        return self.summary

    def _drill(self, watch: Watch) -> None:
        task = self._bar.add_task("each trouble alone", total=len(TROUBLES))
        recoveries: list[Recovery] = []
        for trouble in TROUBLES:
            self._bar.update(task, description=trouble.name)
            recovery = drill(self._house, self._customer, watch, trouble)
            recoveries += [recovery] if recovery else []
            self._bar.console.print(recovery or f"{trouble.name}: no recovery")
            self._bar.advance(task)
        self.summary["recoveries"] = [each.row() for each in recoveries]

    def _storm(self, minutes: float, troubles: tuple[Trouble, ...], name: str) -> None:
        """Random acts, and random troubles beside them."""
        over = threading.Event()
        struck: list[str] = []
        thread = threading.Thread(target=self._trouble, args=(troubles, over, struck))
        begun, before = time.monotonic(), len(self._ledger.entries)
        task = self._bar.add_task(name, total=minutes * 60)
        thread.start()
        try:
            while (spent := time.monotonic() - begun) < minutes * 60:
                self._customer.act()
                self._bar.update(
                    task,
                    completed=spent,
                    description=f"{name}: {len(self._ledger.entries)} jobs, {len(struck)} troubles",
                )
        finally:  # some troubles start the service again, which nobody would end any more
            over.set()
            thread.join()
        self._house.open()
        self._customer.settle(120)
        self.summary[name] = {"jobs": len(self._ledger.entries) - before, "troubles": len(struck)}

    def _trouble(self, troubles: tuple[Trouble, ...], over: threading.Event, struck: list[str]) -> None:
        while not over.wait(self._chance.uniform(3, 9)):
            (trouble,) = self._chance.choices(troubles, [each.weight for each in troubles])
            struck.append(trouble.name)
            try:
                trouble.strike(self._house)
            except Exception as error:  # noqa: BLE001 - the storm goes on, and says what broke it
                self._ledger.blame(f"{trouble.name}: {error!r}")

    def _calm(self, watch: Watch) -> None:
        minutes = self._minutes * (1 - _STORM_SHARE)
        begun = time.monotonic() + minutes * 60 * _WARM_SECONDS
        before = watch.process_ids()
        self._storm(minutes, tuple(each for each in TROUBLES if each.spares_memory), "calm")
        growth = watch.growth(begun)
        if watch.process_ids() != before or growth.keys() != set(WEIGHED):
            self._ledger.blame(f"of {before} one died that nobody killed: now {watch.process_ids()}")
        for name, (first, last) in growth.items():
            if last > first * _GROWTH:
                self._ledger.blame(f"{name} grew from {first / 1e6:.1f} to {last / 1e6:.1f} MB")
        self.summary["memory_mb"] = {
            name: [round(size / 1e6, 1) for size in sizes] for name, sizes in growth.items()
        }

    def _siege(self, watch: Watch) -> None:
        files, requests = (int(self._minutes * each) for each in (_FILES_PER_MINUTE, _REQUESTS_PER_MINUTE))
        task = self._bar.add_task(f"{files} mutated files", total=2)
        self.summary["files"] = send_files(self._house, self._customer, watch, self._seed, files)
        self.summary["peak_mb"] = {name: round(size / 1e6, 1) for name, size in watch.peak_bytes.items()}
        self._bar.update(task, advance=1, description=f"{requests} requests from the contract")
        found = send_requests(self._house, self._customer, self._seed, requests)
        self._bar.advance(task)
        self.summary["requests"] = {"cases": found.cases, "faults": len(found.faults)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, default=Path("soak"), help="folder of the summary and of evidence"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="service-", dir=arguments.out.resolve()))
    house = House(folder)
    console = Console()
    columns = (TextColumn("{task.description:50}"), BarColumn(), TimeElapsedColumn())
    begun = time.monotonic()
    try:
        with Progress(*columns, console=console) as bar:
            summary = Soak(house, arguments.minutes, arguments.seed, bar).run()
    finally:
        house.close()
    summary["seconds"] = round(time.monotonic() - begun)
    (arguments.out / "summary.json").write_text(json.dumps(summary, indent=2))
    (arguments.out / "summary.md").write_text(markdown(summary))
    console.print(markdown(summary), markup=False, highlight=False)
    if summary["violations"]:
        console.print(f"The service's folder with its logs is kept: {folder}")
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

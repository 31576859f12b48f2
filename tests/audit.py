"""`python -m tests.audit`: asks the OSV database, in one request, for known faults of the pinned packages.

Ends with 1 where there are some. Where the database is not in reach it says so, and ends with 0.
"""

import re
import sys
from pathlib import Path

import httpx

_DATABASE = "https://api.osv.dev/v1/querybatch"
_SECONDS = 5
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)

Pin = tuple[str, str]  # name, version


def pins_of(constraints: str) -> list[Pin]:
    """Every package that a constraints file pins."""
    return _PIN.findall(constraints)


def known_faults(pins: list[Pin], database: str = _DATABASE) -> dict[Pin, list[str]]:
    """The ids of the faults of each package that has some. Raises httpx.HTTPError."""
    queries = [{"package": {"ecosystem": "PyPI", "name": name}, "version": version} for name, version in pins]
    answer = httpx.post(database, json={"queries": queries}, timeout=_SECONDS).raise_for_status().json()
    results = [[fault["id"] for fault in result.get("vulns", [])] for result in answer["results"]]
    return {pin: faults for pin, faults in zip(pins, results, strict=True) if faults}


def audit(constraints: Path, database: str = _DATABASE) -> tuple[int, str]:
    """The exit code, and what to say."""
    pins = pins_of(constraints.read_text())
    try:
        found = known_faults(pins, database)
    except httpx.HTTPError as error:
        return 0, f"dependencies NOT audited: {database} is not in reach ({type(error).__name__})"
    if not found:
        return 0, f"{len(pins)} dependencies audited, no fault known"
    lines = [f"{name}=={version}: {', '.join(faults)}" for (name, version), faults in found.items()]
    return 1, "\n".join(["dependencies with known faults (https://osv.dev/vulnerability/<id>):", *lines])


if __name__ == "__main__":
    code, words = audit(Path(__file__).parents[1] / "constraints.txt")
    sys.stdout.write(words + "\n")
    sys.exit(code)

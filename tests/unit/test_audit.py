"""The audit of the pinned packages, against a database of our own on this machine."""

import json
from pathlib import Path

from tests.audit import audit, pins_of
from tests.unit.client.far_side import Reply, far_side

_FAULTY = {"vulns": [{"id": "GHSA-1"}, {"id": "PYSEC-2"}]}


def _answer(*results: object) -> Reply:
    """What OSV says: a result for each question, empty where nothing is known."""
    return Reply(body=json.dumps({"results": results}).encode())


def _file(folder: Path, *pins: str) -> Path:
    path = folder / "constraints.txt"
    path.write_text("# What is pinned\n" + "\n".join(pins) + "\n")
    return path


def test_a_package_with_known_faults_is_named_with_them(tmp_path: Path) -> None:
    with far_side(_answer({}, _FAULTY)) as osv:
        code, words = audit(_file(tmp_path, "httpx==0.28.1", "Jinja2==3.1.0"), osv.url)
    assert code == 1
    assert "Jinja2==3.1.0: GHSA-1, PYSEC-2" in words
    assert "httpx" not in words
    (asked,) = osv.asked
    assert json.loads(asked.body)["queries"][1] == {
        "package": {"ecosystem": "PyPI", "name": "Jinja2"},
        "version": "3.1.0",
    }


def test_packages_without_known_faults_pass(tmp_path: Path) -> None:
    with far_side(_answer({})) as osv:
        assert audit(_file(tmp_path, "httpx==0.28.1"), osv.url)[0] == 0


def test_a_database_out_of_reach_is_no_fault_and_no_audit(tmp_path: Path) -> None:
    code, words = audit(_file(tmp_path, "httpx==0.28.1"), "http://127.0.0.1:1/")
    assert code == 0
    assert "NOT audited" in words


def test_every_pinned_package_is_asked_for() -> None:
    constraints = (Path(__file__).parents[2] / "constraints.txt").read_text()
    lines = [line for line in constraints.splitlines() if line and not line.startswith("#")]
    assert [f"{name}=={version}" for name, version in pins_of(constraints)] == lines

"""The operator may choose the networks' arithmetic; each job says which it was."""

from pathlib import Path

from tests.acceptance.exchange import run
from tests.pictures import phantom, tiff
from tests.running_service import running_service


def test_a_job_says_in_what_precision_it_ran(tmp_path: Path) -> None:
    settings = {"EMSERVE_PRECISION": "bf16"}
    with running_service(tmp_path / "data", settings=settings) as service, service.client() as http:
        job = run(http, tiff(phantom().image))
        assert job["result"]["precision"] == "bf16"
        assert http.get(job["links"]["provenance"]).json()["precision"] == "bf16"
        assert job["result"]["objects"] > 0

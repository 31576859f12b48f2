"""Whatever is asked, the answer is one that the contract knows."""

import httpx

from tests.acceptance.exchange import Json, accepted, ended, post
from tests.contract import Sample, examine
from tests.pictures import phantom, tiff
from tests.running_service import RunningService

_CASES = 500
_IMAGE = tiff(phantom(side=64).image)


def test_no_request_gets_an_answer_that_the_contract_does_not_know(
    service: RunningService, http: httpx.Client, finished: Json, failed: Json
) -> None:
    sample = Sample(
        {
            "job_id": [finished["id"], failed["id"]],
            "reference": ["mitonet", "dropnet@1"],
            "path": ["zarr.json"],
        },
        _IMAGE,
        spare={"DELETE /v1/jobs/{job_id}": {"job_id": [accepted(post(http, _IMAGE))["id"]]}},
    )
    found = examine(service.url, _CASES, sample)
    for status in ("running", "queued"):  # the next test finds an idle service
        for job in http.get("/v1/jobs", params={"status": status, "page_size": 100}).json()["jobs"]:
            ended(http, job)
    assert found.report() == ""
    assert found.cases >= _CASES
    paths = http.get("/openapi.json").json()["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert operations == {operation for operation, status in found.answers if status < 300}


def test_an_examination_sees_what_the_contract_does_not_know(
    service: RunningService, http: httpx.Client
) -> None:
    document = http.get("/openapi.json").json()
    document["paths"] = {"/v1/models/{reference}": document["paths"]["/v1/models/{reference}"]}
    del document["paths"]["/v1/models/{reference}"]["get"]["responses"]["404"]
    found = examine(service.url, 1, Sample({}, _IMAGE), document=document)
    assert list(found.faults) == ["GET /v1/models/{reference} 404 UndefinedStatusCode"]

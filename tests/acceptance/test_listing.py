"""The list of jobs: newest first, filtered, page by page."""

import uuid

import httpx
import pytest

from tests.acceptance.exchange import Json, ended, post, run
from tests.pictures import phantom, tiff


@pytest.fixture(scope="module")
def batch() -> str:
    """A tag value that only this module's jobs carry."""
    return uuid.uuid4().hex


@pytest.fixture(scope="module")
def ids(http: httpx.Client, batch: str) -> list[str]:
    """Five succeeded jobs, oldest first."""
    image = tiff(phantom(side=64).image)
    return [run(http, image, tags={"batch": batch, "number": str(number)})["id"] for number in range(5)]


def _listed(http: httpx.Client, **query: str | int) -> list[Json]:
    response = http.get("/v1/jobs", params=query)
    assert response.status_code == 200, response.text
    assert set(response.json()) == {"jobs", "next_page_token"}
    jobs: list[Json] = response.json()["jobs"]
    return jobs


def test_the_newest_job_comes_first(http: httpx.Client, batch: str, ids: list[str]) -> None:
    assert [job["id"] for job in _listed(http, tag=f"batch:{batch}")] == ids[::-1]


def test_ids_sort_by_time(ids: list[str]) -> None:
    assert ids == sorted(ids)


def test_a_listed_job_is_the_job_itself(http: httpx.Client, batch: str, ids: list[str]) -> None:
    assert _listed(http, tag=f"batch:{batch}")[0] == http.get(f"/v1/jobs/{ids[-1]}").json()


def test_a_tag_selects(http: httpx.Client, batch: str, ids: list[str]) -> None:
    jobs = _listed(http, tag="number:2")
    assert ids[2] in [job["id"] for job in jobs]
    assert {job["tags"]["number"] for job in jobs} == {"2"}
    assert _listed(http, tag=f"batch:{batch}x") == []


def test_a_tag_value_may_hold_colons(http: httpx.Client) -> None:
    value = f"a:b:{uuid.uuid4()}"
    job = run(http, tiff(phantom(side=64).image), tags={"place": value})
    assert [each["id"] for each in _listed(http, tag=f"place:{value}")] == [job["id"]]


def test_a_status_selects(http: httpx.Client, batch: str, ids: list[str]) -> None:
    assert len(_listed(http, tag=f"batch:{batch}", status="succeeded")) == len(ids)
    assert _listed(http, tag=f"batch:{batch}", status="queued") == []


def test_a_failed_job_is_listed_as_failed(http: httpx.Client, failed: Json) -> None:
    assert failed["id"] in [job["id"] for job in _listed(http, status="failed")]


@pytest.mark.parametrize(
    ("model", "found"), [("mitonet", 5), ("mitonet@starter", 5), ("mitonet@1", 0), ("dropnet", 0)]
)
def test_a_model_selects(http: httpx.Client, batch: str, ids: list[str], model: str, found: int) -> None:
    assert len(_listed(http, tag=f"batch:{batch}", model=model)) == min(found, len(ids))


def test_a_time_selects(http: httpx.Client, batch: str, ids: list[str]) -> None:
    third = http.get(f"/v1/jobs/{ids[2]}").json()["created_at"]
    found = [job["id"] for job in _listed(http, tag=f"batch:{batch}", created_after=third)]
    assert ids[4] in found
    assert ids[3] in found
    assert ids[1] not in found
    assert _listed(http, created_after="2999-01-01T00:00:00Z") == []


def test_pages_follow_each_other_without_repeats_or_gaps(
    http: httpx.Client, batch: str, ids: list[str]
) -> None:
    seen: list[str] = []
    query: dict[str, str | int] = {"tag": f"batch:{batch}", "page_size": 2}
    while True:
        page = http.get("/v1/jobs", params=query).json()
        assert len(page["jobs"]) <= 2
        seen += [job["id"] for job in page["jobs"]]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert seen == ids[::-1]


def test_a_job_that_comes_meanwhile_shifts_no_page(http: httpx.Client, batch: str, ids: list[str]) -> None:
    query: dict[str, str | int] = {"tag": f"batch:{batch}", "page_size": 3}
    first = http.get("/v1/jobs", params=query).json()
    late = post(http, tiff(phantom(side=64).image), tags={"batch": batch}).json()
    second = http.get("/v1/jobs", params=query | {"page_token": first["next_page_token"]}).json()
    found = [job["id"] for job in first["jobs"] + second["jobs"]]
    assert found == ids[::-1]
    assert ended(http, late)["status"] == "succeeded"

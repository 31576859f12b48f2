"""The records of jobs: closed states, faithful copies, problems with a name."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from emserve.errors import FieldError, InvalidRequest, JobLost
from emserve.jobs import JobEnd, JobInput, JobRecord, JobStatus, PinnedModel, Problem, Tags
from emserve.params import Parameters

_TAGS: TypeAdapter[dict[str, str]] = TypeAdapter(Tags)


def _record() -> JobRecord:
    given = JobInput(
        filename="cell.tif",
        bytes=1,
        sha256="0" * 64,
        shape=[3, 5],
        axes="YX",
        dtype="uint8",
        pixel_size_nm=[4.0, 4.0],
        pixel_size_source="file",
    )
    return JobRecord(
        id="x",
        model=PinnedModel(name="mitonet", version="1", sha256=None),
        params=Parameters(downsampling=2),
        tags={"series": "a:b"},
        warnings=[],
        input=given,
        created_at=datetime.now(UTC),
    )


def test_three_states_are_ends() -> None:
    assert {status.value for status in JobStatus if status.ended} == {"succeeded", "failed", "cancelled"}


def test_a_record_and_an_end_survive_json() -> None:
    record = _record()
    assert JobRecord.model_validate_json(record.model_dump_json()) == record
    end = JobEnd(
        status=JobStatus.FAILED,
        attempt=3,
        execution_id=None,
        started_at=None,
        finished_at=datetime.now(UTC),
        error=Problem.of(JobLost(3, 3)),
    )
    assert JobEnd.model_validate_json(end.model_dump_json()) == end


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        _record().id = "y"  # type: ignore[misc]  # what the test is about


def test_records_of_a_later_version_with_more_fields_are_still_read() -> None:
    text = _record().model_dump_json()[:-1] + ', "priority": 5}'
    assert JobRecord.model_validate_json(text).id == "x"


def test_a_problem_says_what_kind_of_error_it_is() -> None:
    fault = InvalidRequest("too small", errors=[FieldError("/params/min_size", "below 0")])
    problem = Problem.of(fault, request_id="r")
    assert problem.type == "urn:emserve:problem:invalid-request"
    assert (problem.status, problem.kind, problem.detail) == (422, "user", "too small")
    assert [each.pointer for each in problem.errors] == ["/params/min_size"]
    assert Problem.of(JobLost(3, 3)).kind == "system"


def test_pixels_are_counted() -> None:
    assert _record().input.pixels == 15


@pytest.mark.parametrize(
    "tags",
    [
        {"": "empty key"},
        {"a:b": "colon in the key"},
        {"a b": "blank in the key"},
        {"k" * 65: "long key"},
        {"k": "v" * 257},
        {f"k{number}": "" for number in range(33)},
    ],
)
def test_tags_have_bounds(tags: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        _TAGS.validate_python(tags)


def test_a_tag_may_hold_any_text() -> None:
    tags = {"série-1": "µm : / \n", "empty": ""}
    assert _TAGS.validate_python(tags) == tags

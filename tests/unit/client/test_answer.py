"""Answers, read into values and errors."""

import pytest
from pydantic import TypeAdapter

from emserve.client.answer import Answer
from emserve.client.errors import ApiError, JobDeleted, UnexpectedAnswer
from emserve.jobs import PROBLEM_PREFIX, Job, Pointed
from tests.unit.client.far_side import make_job, make_problem

URL = "http://127.0.0.1:8000/v1/jobs"


def test_a_job_is_read() -> None:
    answer = Answer(URL, 200, {}, make_job().model_dump_json().encode())
    assert answer.read_as(TypeAdapter(Job)) == make_job()


@pytest.mark.parametrize("content", [b"<html>Welcome</html>", b"{}", b"[1]", b"", b"\xff"])
def test_what_is_no_job_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match=URL):
        Answer(URL, 200, {}, content).read_as(TypeAdapter(Job))


def test_a_problem_becomes_an_error_with_title_detail_status_and_request_id() -> None:
    error = Answer(URL, 422, {}, make_problem().model_dump_json().encode()).error()
    assert str(error) == "The image cannot be read: The TIFF ends after 12 bytes."
    assert (error.status, error.request_id) == (422, "r-1")


def test_the_request_id_may_stand_in_the_header_only() -> None:
    problem = make_problem().model_copy(update={"request_id": None})
    answer = Answer(URL, 422, {"x-request-id": "r-2"}, problem.model_dump_json().encode())
    assert answer.error().request_id == "r-2"


def test_that_a_job_was_deleted_has_an_error_of_its_own() -> None:
    deleted = make_problem(410).model_copy(update={"type": PROBLEM_PREFIX + "job-deleted"})
    assert type(Answer(URL, 410, {}, deleted.model_dump_json().encode()).error()) is JobDeleted
    assert type(Answer(URL, 410, {}, b"gone").error()) is ApiError


def test_pointers_are_told_once() -> None:
    fault = Pointed(pointer="/params/downsampling", detail="Input should be 1, 2 or 4")
    quiet = make_problem().model_copy(update={"errors": [fault]})
    assert str(ApiError(quiet)).count("/params/downsampling: Input should be 1, 2 or 4.") == 1
    loud = quiet.model_copy(update={"detail": "/params/downsampling: Input should be 1, 2 or 4."})
    assert str(ApiError(loud)).count("/params/downsampling") == 1


def test_a_proxys_page_becomes_an_error_without_its_markup() -> None:
    error = Answer(URL, 502, {"content-type": "text/html"}, b"<html>nginx</html>").error()
    assert error.status == 502
    assert str(error) == f"Bad Gateway: {URL} answered 502"


def test_a_redirect_says_where_to() -> None:
    error = Answer(URL, 301, {"location": "https://lab/v1/jobs"}, b"").error()
    assert "points to https://lab/v1/jobs" in str(error)


def test_an_unheard_of_status_is_no_accident() -> None:
    assert Answer(URL, 599, {}, b"odd").error().status == 599

"""What is sent again, and when."""

import pytest

from emserve.client.answer import Answer, Broken
from emserve.client.call import TRIES, Call
from emserve.client.retry import pause_before_retry

GET = Call("GET", "/v1/jobs")
POST = Call("POST", "/v1/jobs")
LOST = Broken("http://x", "Connection refused", may_repeat=True)


def busy(status: int = 503, retry_after: str | None = "1") -> Answer:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Answer("http://x", status, headers, b"")


def test_pauses_grow_and_end() -> None:
    pauses = [pause_before_retry(GET, LOST, tries) for tries in range(1, TRIES + 1)]
    assert pauses == [0.2, 0.4, 0.8, None]


def test_a_post_is_never_repeated() -> None:
    assert pause_before_retry(POST, LOST, 1) is None
    assert pause_before_retry(POST, busy(), 1) is None


def test_a_delete_is_repeated_since_the_second_changes_nothing() -> None:
    assert pause_before_retry(Call("DELETE", "/"), LOST, 1) == 0.2


def test_silence_is_not_repeated() -> None:
    assert pause_before_retry(GET, Broken("http://x", "silent", may_repeat=False), 1) is None


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_given_the_time_that_it_asks_for(status: int) -> None:
    assert pause_before_retry(GET, busy(status, "3"), 1) == 3


def test_a_date_counts_as_the_usual_pause() -> None:
    assert pause_before_retry(GET, busy(503, "Wed, 21 Oct 2026 07:28:00 GMT"), 1) == 0.2


@pytest.mark.parametrize("answer", [busy(503, None), busy(500), busy(404), busy(200), busy(503, "3600")])
def test_other_answers_stand(answer: Answer) -> None:
    assert pause_before_retry(GET, answer, 1) is None

"""Whether a request is sent again, and after which pause."""

from emserve.client.answer import Answer, Broken
from emserve.client.call import Call

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 4.0
_LONGEST_WISH_SECONDS = 30.0  # a server that asks for more is not waited for
_BUSY = (429, 503)
_REPEATABLE = ("GET", "DELETE")


def pause_before_retry(call: Call, outcome: Answer | Broken, tries: int) -> float | None:
    """Seconds to wait before `call` is sent again after `tries` sendings; None when it shall not be.

    Only what changes nothing more is repeated: a second POST could make a second job.
    """
    if call.method not in _REPEATABLE or tries >= call.tries:
        return None
    back_off = min(_FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1), _LONGEST_PAUSE_SECONDS)
    if isinstance(outcome, Broken):
        return back_off if outcome.may_repeat else None
    if outcome.status not in _BUSY or "retry-after" not in outcome.headers:
        return None
    wish = _seconds(outcome.headers["retry-after"])
    if wish is None:
        return back_off
    return max(wish, back_off) if wish <= _LONGEST_WISH_SECONDS else None


def _seconds(retry_after: str) -> float | None:
    """The header's number of seconds; None for its other form, a date, which two clocks would disagree on."""
    text = retry_after.strip()
    return float(text) if text.isascii() and text.isdigit() else None

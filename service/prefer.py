"""The Prefer header (RFC 7240), as far as it is honoured: wait."""

import re

_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)


def parse_wait(header: str | None) -> int | None:
    """Seconds of `wait=N`; None without one. A malformed preference is ignored, as the RFC asks."""
    match = _WAIT.search(header) if header else None
    return int(match.group(1)) if match else None

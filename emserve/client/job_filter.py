"""Which jobs a list shall hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from emserve.client.errors import InvalidParameters
from emserve.jobs import JobStatus

_PAGE_SIZE = 100  # the most that the service gives at once


@dataclass(frozen=True)
class JobFilter:
    """None passes everything."""

    status: JobStatus | str | None = None
    model: str | None = None
    """`name` or `name@version`."""
    tag: str | None = None
    """`key:value`."""
    created_after: datetime | None = None
    """A naive time is this machine's local time."""

    def query(self, left: int | None, token: str | None) -> Mapping[str, str]:
        """Query of the page that begins at `token`, of which `left` jobs are wanted (None: all)."""
        if self.created_after is not None and not isinstance(self.created_after, datetime):
            raise InvalidParameters(f"`created_after` is a datetime, not {self.created_after!r:.80}.")
        after = self.created_after.astimezone().isoformat() if self.created_after else None
        values = {
            "status": str(self.status) if self.status else None,
            "model": self.model,
            "tag": self.tag,
            "created_after": after,
            "page_size": str(min(_PAGE_SIZE, left or _PAGE_SIZE)),
            "page_token": token,
        }
        return {name: value for name, value in values.items() if value is not None}

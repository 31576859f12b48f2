"""Identifiers that sort by the time they were made (UUID version 7, RFC 9562)."""

import os
import re
import time
import uuid
from datetime import UTC, datetime

PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What every id in the API looks like."""


def seconds_since(made: str) -> float:
    """Age of an id of ours; 0 for one that is no UUIDv7."""
    try:
        value = uuid.UUID(made)
    except ValueError:
        return 0.0
    return max(0.0, time.time() - (value.int >> 80) / 1000) if value.version == 7 else 0.0


def new_id() -> str:
    """A UUIDv7 as text: 48 bits of milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def made_at(job_id: str) -> datetime | None:
    """When an id was made, to the millisecond; None for one that `new_id` did not make."""
    try:
        value = uuid.UUID(job_id)
        return datetime.fromtimestamp((value.int >> 80) / 1000, UTC) if value.version == 7 else None
    except (ValueError, OverflowError, OSError):  # no UUID, or of a time that is beyond the calendar
        return None

"""Logs: one JSON object a line, with job_id and request_id on every line that belongs to one."""

import logging
import sys
from contextlib import AbstractContextManager

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

# Without the values of local variables: they are long, and may be secrets.
_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))


def configure(log_format: str, level: int = logging.INFO) -> None:
    """Sends every logger of this process to stderr, as JSON or, for people, in columns."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [_TRACEBACKS, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def traces() -> dict[str, str]:
    """What lines logged here carry, to be handed to another process."""
    return dict(structlog.contextvars.get_contextvars())


def about(**values: str) -> AbstractContextManager[None]:
    """Puts `values` (job_id, request_id) on every line logged inside."""
    return structlog.contextvars.bound_contextvars(**values)

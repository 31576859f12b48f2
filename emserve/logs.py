"""Logs: one JSON object a line, with job_id and request_id on every line that belongs to one."""

import logging
import sys
import threading
from contextlib import AbstractContextManager
from types import TracebackType

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

# Without the values of local variables: they are long, and may be secrets.
_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))

log = logging.getLogger(__name__)


def configure(log_format: str, level: int = logging.INFO) -> None:
    """Sends every logger of this process to stderr, as JSON or, for people, in columns; and with them what
    Python itself would write there: warnings, and exceptions that nobody caught."""
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
    logging.captureWarnings(True)
    sys.excepthook = _log_the_end
    threading.excepthook = _log_a_threads_end
    sys.unraisablehook = _log_unraisable


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("ended by an exception that nobody caught", exc_info=(kind, error, trace))


def _log_a_threads_end(args: threading.ExceptHookArgs) -> None:
    thread = "?" if args.thread is None else args.thread.name
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        error = (args.exc_type, args.exc_value, args.exc_traceback)
        log.critical("a thread was ended by an exception", extra={"ended": thread}, exc_info=error)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    if args.exc_value is not None:
        error = (args.exc_type, args.exc_value, args.exc_traceback)
        log.error("an exception where none can be raised", exc_info=error)


def traces() -> dict[str, str]:
    """What lines logged here carry, to be handed to another process."""
    return dict(structlog.contextvars.get_contextvars())


def about(**values: str) -> AbstractContextManager[None]:
    """Puts `values` (job_id, request_id) on every line logged inside."""
    return structlog.contextvars.bound_contextvars(**values)

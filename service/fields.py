"""Header fields whose value is a list."""

from starlette.requests import Request


def listed(request: Request, name: str) -> str | None:
    """The value of a field, which may come in several lines (RFC 9110, section 5.3); None without any. The
    framework alone gives the first line."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None

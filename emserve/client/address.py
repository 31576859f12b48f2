"""The address of the service: what the caller says, else EMSERVE_URL, else this machine."""

import os
from urllib.parse import urlsplit

from emserve.client.errors import BadAddress

DEFAULT_URL = "http://127.0.0.1:8000"
VARIABLE = "EMSERVE_URL"

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def choose_url(given: str | None = None) -> str:
    """The service's address, without a slash at its end. Raises BadAddress for what is none."""
    if given is not None and not isinstance(given, str):
        raise BadAddress(f"The service's address is a text, such as {DEFAULT_URL}; not {given!r:.80}.")
    url = given or os.environ.get(VARIABLE) or DEFAULT_URL
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        source = "given as the service's address" if given else f"in {VARIABLE}"
        raise BadAddress(f"{url!r}, {source}, is no http address; it looks like {DEFAULT_URL}.")
    return url.rstrip("/")


def is_local(url: str) -> bool:
    """Whether `url` names this machine, which no proxy of the environment can reach for us."""
    return urlsplit(url).hostname in _LOCAL_HOSTS

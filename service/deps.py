"""What endpoints ask for, as annotated types."""

import re
from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Path, Query, Request
from pydantic import AwareDatetime, BeforeValidator

from emserve.errors import FieldError, InvalidRequest
from emserve.ids import PATTERN
from emserve.region import Region
from service.fields import listed
from service.prefer import parse_wait
from service.resources import Resources
from service.stopping import Stopping

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")


# All are async: threads are for what waits for the storage, and may all be taken.
async def _resources(request: Request) -> Resources:
    resources: Resources = request.state.resources
    return resources


async def _stopping(request: Request) -> Stopping:
    stopping: Stopping = request.state.stopping
    return stopping


async def refuse_odd_queries(request: Request) -> None:
    """A misspelt `?z=` would give a whole volume without a word, and of two tags one would not be looked at.

    Raises InvalidRequest.
    """
    operations = request.app.openapi()["paths"][request.scope["route"].path_format]
    parameters = operations[request.method.lower()].get("parameters", [])
    known = sorted(each["name"] for each in parameters if each["in"] == "query")
    unknown = [name[:100] for name in request.query_params if name not in known][:20]
    if unknown:
        remedy = f"This address takes {', '.join(known) or 'none'}."
        raise InvalidRequest(
            f"In the query there is no parameter {', '.join(map(repr, unknown))}. {remedy}",
            errors=[FieldError.at(("query", name), remedy) for name in unknown],
        )
    counts = Counter(name for name, _ in request.query_params.multi_items())
    if twice := [name for name, count in counts.items() if count > 1]:
        remedy = "It stands there more than once: give it once."
        raise InvalidRequest(
            f"The query has {' and '.join(map(repr, twice))} more than once, and only one can be meant.",
            errors=[FieldError.at(("query", name), remedy) for name in twice],
        )


async def _wait(
    request: Request,
    resources: Annotated[Resources, Depends(_resources)],
    wait: Annotated[
        int | None,
        Query(ge=0, description="Seconds to wait for the job's end; `Prefer: wait=N` wins over it."),
    ] = None,
    prefer: Annotated[str | None, Header(description="`wait=N` (RFC 7240)")] = None,
) -> int | None:
    """Seconds that the caller wants to wait, capped; None when it does not."""
    wanted = None if prefer is None else parse_wait(listed(request, "prefer"))
    wanted = wait if wanted is None else wanted
    return None if wanted is None else min(wanted, resources.settings.max_wait_seconds)


def _in_full(value: object) -> object:
    if isinstance(value, str) and not _TIME.match(value):  # pydantic would take a number for seconds
        raise ValueError("a date and time is written like 2026-11-23T17:00:00Z, with its offset from UTC")
    return value


def _bound(what: str) -> Any:  # FastAPI's Query() is untyped
    return Query(ge=0, le=2**31, description=what)


async def _region(
    z: Annotated[int | None, _bound("Of a volume, one slice, as an image.")] = None,
    z0: Annotated[int | None, _bound("Of a volume, the first slice.")] = None,
    z1: Annotated[int | None, _bound("Of a volume, the slice behind the last.")] = None,
    y0: Annotated[int | None, _bound("The first row.")] = None,
    y1: Annotated[int | None, _bound("The row behind the last.")] = None,
    x0: Annotated[int | None, _bound("The first column.")] = None,
    x1: Annotated[int | None, _bound("The column behind the last.")] = None,
) -> Region:
    """The part of the label map that is wanted."""
    return Region(z=z, z0=z0, z1=z1, y0=y0, y1=y1, x0=x0, x1=x1)


ResourcesDep = Annotated[Resources, Depends(_resources)]
StoppingDep = Annotated[Stopping, Depends(_stopping)]
JobId = Annotated[
    str,
    Path(description="The job's id.", json_schema_extra={"pattern": f"^{PATTERN.pattern}$"}),
]
RegionQuery = Annotated[Region, Depends(_region)]
Wait = Annotated[int | None, Depends(_wait)]
Model = Annotated[str | None, Query(description="`name` or `name@version`.")]
Moment = Annotated[AwareDatetime, BeforeValidator(_in_full)]
"""A time as RFC 3339 writes it; without an offset nobody knows which one it is."""
Require = Annotated[
    Literal["worker"] | None, Query(description="What must be there besides Redis and storage.")
]

"""The front end: `uvicorn --factory service.app:create_app`."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypedDict

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry, disable_created_metrics

import emserve
from emserve.logs import configure
from emserve.settings import Settings
from service.deps import refuse_odd_queries
from service.docs_page import add_docs_page
from service.guards import HeadAsGet, KnownHost, Measured, RequestId
from service.metrics import StateCollector, request_metrics
from service.openapi import describe
from service.problems import LastResort, add_handlers
from service.resources import Resources, open_resources
from service.results import SingleFlight
from service.routes import health, jobs, models, results
from service.stopping import Stopping


class State(TypedDict):
    """What every request finds in `request.state`."""

    resources: Resources
    flight: SingleFlight
    registry: CollectorRegistry
    stopping: Stopping


def create_app(settings: Settings | None = None, stopping: Stopping | None = None) -> FastAPI:
    """The application; opens nothing before it starts. `stopping` is where it looks whether it ends."""
    chosen = settings or Settings()
    # It would make a second series for each, which nobody reads.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # ships without this type
    registry = CollectorRegistry()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        configure(chosen.log_format)
        async with open_resources(chosen) as resources:
            registry.register(StateCollector(resources))
            yield State(
                resources=resources,
                flight=SingleFlight(),
                registry=registry,
                stopping=stopping or Stopping(),
            )

    app = FastAPIOffline(
        docs_url=None,
        redoc_url=None,
        title="emserve",
        version=emserve.__version__,
        summary="Segments electron-microscopy images: mitochondria, nuclei, lipid droplets.",
        lifespan=lifespan,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        generate_unique_id_function=lambda route: route.name,  # clients get names to read
        redirect_slashes=False,  # a redirect has no problem to show, and many clients follow none
    )
    for routes in (jobs, results, models):
        app.include_router(routes.router, dependencies=[Depends(refuse_odd_queries)])
    app.include_router(health.router)
    add_docs_page(app)
    add_handlers(app)
    requests, seconds = request_metrics(registry)
    app.add_middleware(LastResort)
    app.add_middleware(Measured, requests=requests, seconds=seconds)
    app.add_middleware(
        KnownHost,
        allowed=frozenset({chosen.host, *chosen.allowed_hosts}),
        readers=frozenset(chosen.allowed_origins),
    )
    app.add_middleware(RequestId)
    app.add_middleware(HeadAsGet)  # the outermost
    _describe_with_problems(app)
    return app


def _describe_with_problems(app: FastAPI) -> None:
    plain = app.openapi

    def with_problems() -> dict[str, Any]:  # an OpenAPI document, free-form by nature
        if app.openapi_schema is None:
            app.openapi_schema = describe(plain())
        return app.openapi_schema

    app.openapi = with_problems  # type: ignore[method-assign]  # FastAPI's documented way

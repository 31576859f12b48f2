"""What Prometheus sees: requests, and the queue as it is at each scrape."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from emserve.errors import BrokerUnavailable
from service.resources import Resources


def request_metrics(registry: CollectorRegistry) -> tuple[Counter, Histogram]:
    """Requests by method, route and status; their seconds by method and route."""
    requests = Counter(
        "emserve_http_requests", "HTTP requests answered.", ["method", "route", "status"], registry=registry
    )
    seconds = Histogram(
        "emserve_http_request_seconds",
        "Time to the end of the answer.",
        ["method", "route"],
        registry=registry,
    )
    return requests, seconds


class QueueCollector(Collector):
    """Asks the broker at scrape time; says `emserve_broker_up 0` when it is away."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())  # nothing is asked while registering

    def collect(self) -> Iterator[GaugeMetricFamily]:
        tickets = self._resources.book.tickets
        try:
            values = {
                "queued_jobs": ("Jobs waiting for a worker.", len(tickets.waiting())),
                "running_jobs": ("Jobs that a worker holds.", len(tickets.leased())),
                "active_jobs": ("Jobs without an end.", len(self._resources.book.live.active())),
                "workers": ("Live workers.", len(self._resources.fleet.workers())),
            }
        except BrokerUnavailable:
            yield GaugeMetricFamily("emserve_broker_up", "Whether the broker answers.", value=0)
            return
        yield GaugeMetricFamily("emserve_broker_up", "Whether the broker answers.", value=1)
        for name, (text, value) in values.items():
            yield GaugeMetricFamily(f"emserve_{name}", text, value=value)

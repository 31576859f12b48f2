"""What Prometheus sees: requests, the state of things at each scrape, and what all processes counted."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from emserve.errors import BrokerUnavailable, StorageUnavailable
from emserve.fleet import WorkerEntry
from emserve.ids import seconds_since
from emserve.tally import Event
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


# Of each event: what it is, and the name of its label if it has one.
_EVENTS = {
    Event.JOB_ACCEPTED: ("Jobs accepted.", None),
    Event.JOB_ENDED: ("Jobs ended.", "status"),
    Event.JOB_FAILED: ("Jobs failed.", "problem"),
    Event.JOB_REQUEUED: ("Jobs queued again after an attempt that was lost or given back.", None),
    Event.ATTEMPT: ("Attempts that are over.", "outcome"),
    Event.STAGE_SECONDS: ("Seconds that succeeded jobs spent in each stage.", "stage"),
    Event.LEASE_LOST: ("Leases that ran out because their worker was gone.", None),
    Event.WORKER_LOST: ("Workers that went without a word.", None),
    Event.IMAGE_PROCESS_DIED: ("Image processes that died.", "doing"),
    Event.MODEL_LOADED: ("Times a worker loaded a model.", "model"),
    Event.MODEL_LOAD_SECONDS: ("Seconds that loading took.", "model"),
    Event.MODEL_EVICTED: ("Times a worker dropped a model to make room for another.", "model"),
    Event.MODEL_PIXELS: ("Pixels of images that a model was run on.", "model"),
    Event.MODEL_SECONDS: ("Seconds that running it took.", "model"),
    Event.TICKET_REFUSED: ("Tickets in the queue that were not ours.", None),
}


class StateCollector(Collector):
    """Looks at queue, leases, workers and disk at scrape time, and reads what all processes counted.

    Says `emserve_broker_up 0` when the broker is away, and then only what can be seen without it.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def describe(self) -> Iterator[Metric]:
        return iter(())  # nothing is asked while registering

    def collect(self) -> Iterator[Metric]:
        yield from self._room()
        try:
            seen = [*self._state(), *self._events()]
        except BrokerUnavailable:
            yield _gauge("broker_up", "Whether the broker answers.", 0)
            return
        yield _gauge("broker_up", "Whether the broker answers.", 1)
        yield from seen

    def _room(self) -> Iterator[Metric]:
        """Nothing while the disk does not say."""
        with suppress(StorageUnavailable):
            free = self._resources.free_probe.begin()()
            yield _gauge("disk_free_bytes", "Free room on the disk of the data folder.", free)

    def _state(self) -> Iterator[Metric]:
        book = self._resources.book
        waiting = book.tickets.waiting()
        oldest = max(map(seconds_since, waiting), default=0.0)
        yield _gauge("queued_jobs", "Jobs waiting for a worker.", len(waiting))
        yield _gauge("queue_age_seconds", "Time since the oldest waiting job came in.", oldest)
        yield _gauge("running_jobs", "Jobs that a worker holds.", len(book.tickets.leased()))
        text = "Longest time since a worker renewed the lease of a job; it runs out at 8."
        yield _gauge("lease_age_seconds", text, book.tickets.lease_age())
        yield _gauge("active_jobs", "Jobs without an end.", len(book.live.active()))
        workers = self._resources.fleet.workers()
        yield _gauge("workers", "Live workers.", len(workers))
        yield from _residency(workers)

    def _events(self) -> Iterator[Metric]:
        totals = self._resources.book.tally.totals()
        for event, (text, label) in _EVENTS.items():
            family = CounterMetricFamily(f"emserve_{event.value}", text, labels=[label] if label else [])
            for value, total in totals.get(event, {} if label else {"": 0.0}).items():
                family.add_metric([value] if label else [], total)
            yield family


def _residency(workers: Iterable[WorkerEntry]) -> Iterator[Metric]:
    """Which models lie where, and how large they are there."""
    labels = ["model", "device", "worker"]
    taken = GaugeMetricFamily(
        "emserve_model_resident_bytes", "Memory of the models that workers hold warm.", labels=labels
    )
    for worker in workers:
        for resident in worker.residents:
            taken.add_metric([resident.id, worker.device, worker.name], resident.bytes)
    yield taken


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"emserve_{name}", text, value=value)

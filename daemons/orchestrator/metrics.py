"""What Prometheus scrapes: the fleet as the store counts it, and what this orchestrator has been asked.

Times are in seconds, counters end with ``_total``. No label takes a value that a caller could make up without bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import daemons
from daemons.core.lifecycle import JobStatus, WorkerStatus
from daemons.store.census import Counts, Waiting
from daemons.store.duties import FleetFacts

MOST_UNITS: Final = 50
"""So many compute units have lines of their own, those with the longest queues; the others share one."""
OTHER: Final = "other"

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
_BUCKETS: Final = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
_RETRIES: Final = ("silent", "restarted", "overdue", "device", "by_hand")
_LOSSES: Final = ("silent", "restarted", "overdue")
_ENDS: Final = tuple(status.value for status in JobStatus if status.is_final)


class Fleet(NamedTuple):
    """What the store tells at one moment."""

    counts: Counts
    facts: FleetFacts
    results: int
    """Jobs that have ended and whose file is not yet written."""
    duties: Mapping[str, float]
    """Every duty, and how often it is to be done, in seconds."""


class Here(NamedTuple):
    """What this orchestrator tells of itself."""

    listeners: int
    claims: int
    is_holder: bool


class Metrics(Collector):
    """The metrics of one orchestrator, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._fleet: Fleet | None = None
        self._here = Here(0, 0, is_holder=False)
        self._requests = Counter(
            "benchfleet_http_requests_total",
            "Requests that were answered, by method, route and status; 499: the caller hung up first.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._durations = Histogram(
            "benchfleet_http_request_duration_seconds",
            "How long requests took until their answer was sent, waiting for work and streaming included.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(self)

    def answered(self, method: str, route: str | None, status: int, duration_s: float) -> None:
        """Count a request; `route` is the path as the API's table has it, None for one that isn't there."""
        method = method if method in _METHODS else OTHER
        self._requests.labels(method, route or OTHER, str(status)).inc()
        self._durations.labels(method, route or OTHER).observe(duration_s)

    def exposition(self, fleet: Fleet | None, here: Here) -> bytes:
        """Everything, in Prometheus' text format. `fleet` None: the store doesn't answer."""
        self._fleet, self._here = fleet, here
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """For the registry: what is not counted as it happens."""
        yield from _of_here(self._here)
        yield from _of_process()
        yield _gauge(
            "store_up", "1 while Redis answers, 0 while it doesn't and the fleet is not known.", self._fleet is not None
        )
        if self._fleet is not None:
            yield from _of_devices(self._fleet.counts)
            yield from _of_queues(self._fleet.counts)
            yield from _of_counters(self._fleet.facts.counters)
            yield from _of_results(self._fleet)
            yield from _of_duties(self._fleet)


def _gauge(name: str, text: str, value: float | None) -> Metric:
    """A metric without labels; without a value if there is none."""
    family = GaugeMetricFamily(f"benchfleet_{name}", text)
    if value is not None:
        family.add_metric((), float(value))
    return family


def _by(label: str, name: str, text: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"benchfleet_{name}", text, labels=(label,))
    for key, value in values:
        family.add_metric((key,), float(value))
    return family


def _count(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"benchfleet_{name}", text, value=float(value))


def _counts_by(label: str, name: str, text: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(f"benchfleet_{name}", text, labels=(label,))
    for key, value in values:
        family.add_metric((key,), float(value))
    return family


def _of_here(here: Here) -> Iterator[Metric]:
    yield InfoMetricFamily("benchfleet_build", "What this orchestrator is.", value={"version": daemons.__version__})
    yield _gauge("event_listeners", "Who listens to the events of this orchestrator.", here.listeners)
    yield _gauge("waiting_claims", "Claims that wait for work at this orchestrator.", here.claims)
    yield _gauge("duties_held", "1 on the orchestrator that does the periodic duties.", here.is_holder)


def _of_process() -> Iterator[Metric]:
    """Under the names that Prometheus' own libraries give them."""
    process = psutil.Process()
    with process.oneshot():
        resident = GaugeMetricFamily("process_resident_memory_bytes", "Resident memory of this orchestrator.")
        resident.add_metric((), float(process.memory_info().rss))
        files = GaugeMetricFamily("process_open_fds", "Open file descriptors of this orchestrator.")
        files.add_metric((), float(process.num_fds()))
        times = process.cpu_times()
        cpu = CounterMetricFamily(
            "process_cpu_seconds", "Processor time of this orchestrator.", value=times.user + times.system
        )
        start = GaugeMetricFamily("process_start_time_seconds", "When this orchestrator was started, since 1970.")
        start.add_metric((), process.create_time())
    yield from (resident, files, cpu, start)


def _of_devices(counts: Counts) -> Iterator[Metric]:
    by_status = ((status.value, counts.devices.get(status.value, 0)) for status in WorkerStatus)
    yield _by("status", "devices", "Devices by status.", by_status)
    yield _gauge("devices_drained", "Devices that take no more jobs until they are undrained.", counts.drained)


def _of_queues(counts: Counts) -> Iterator[Metric]:
    jobs = (("pending", counts.pending), ("running", counts.running))
    yield _by("status", "jobs", "Jobs that have not ended, by status, checkups' jobs included.", jobs)
    yield _gauge("campaigns_running", "Campaigns that have not ended, checkups included.", counts.campaigns)
    queues = dict(_bounded(counts.units))
    depths = ((unit, queue.waiting) for unit, queue in queues.items())
    yield _by("unit", "queue_jobs", "Jobs that wait for any device with a compute unit.", depths)
    waits = ((unit, queue.oldest_ms / 1000) for unit, queue in queues.items() if queue.oldest_ms is not None)
    text = "Seconds since the campaign of the job that waits longest for a compute unit was accepted."
    yield _by("unit", "queue_oldest_wait_seconds", text, waits)
    yield _gauge("queue_pinned_jobs", "Jobs that wait for one device alone.", counts.pinned.waiting)
    pinned_s = None if counts.pinned.oldest_ms is None else counts.pinned.oldest_ms / 1000
    text = "Seconds since the campaign of the job that waits longest for one device alone was accepted."
    yield _gauge("queue_pinned_oldest_wait_seconds", text, pinned_s)
    yield _gauge("jobs_delayed", "Jobs that wait for the time of their retry.", counts.delayed)


def _bounded(units: Mapping[str, Waiting]) -> Iterator[tuple[str, Waiting]]:
    longest_first = sorted(units.items(), key=lambda unit: (-unit[1].waiting, unit[0]))
    yield from longest_first[:MOST_UNITS]
    rest = [queue for _, queue in longest_first[MOST_UNITS:]]
    if rest:
        oldest = max((queue.oldest_ms for queue in rest if queue.oldest_ms is not None), default=None)
        yield OTHER, Waiting(waiting=sum(queue.waiting for queue in rest), oldest_ms=oldest)


def _of_counters(counters: Mapping[str, int]) -> Iterator[Metric]:
    def of(prefix: str, names: Iterable[str]) -> Iterator[tuple[str, float]]:
        return ((name, counters.get(f"{prefix}{name}", 0)) for name in names)

    yield _counts_by("status", "jobs_ended", "Jobs that have ended, by how, since the last reset.", of("jobs_", _ENDS))
    yield _counts_by(
        "class", "job_retries", "Jobs that wait again, by what had become of their attempt.", of("retries_", _RETRIES)
    )
    yield _counts_by("reason", "attempts_lost", "Attempts that ended with their worker, by why.", of("lost_", _LOSSES))
    yield _count("device_failures", "Attempts that a device could not do.", counters.get("device_failures", 0))
    yield _count("jobs_poison", "Jobs given up after too many lost attempts.", counters.get("poison", 0))
    yield _count("campaigns_forgotten", "Campaigns that have left the store.", counters.get("campaigns_forgotten", 0))
    yield _count("webhooks_delivered", "Webhooks that were taken.", counters.get("webhooks_delivered", 0))
    yield _count("webhook_failures", "Webhooks that were not taken, each time.", counters.get("webhook_failures", 0))
    yield _count("webhooks_given_up", "Webhooks that are not sent again.", counters.get("webhooks_given_up", 0))
    checkups = of("checkups_", ("started", "passed", "failed"))
    yield _counts_by("outcome", "checkups", "Checkups of devices that were started, and how they ended.", checkups)


def _of_results(fleet: Fleet) -> Iterator[Metric]:
    facts = fleet.facts
    oldest_s = None if facts.oldest_result_ms is None else facts.oldest_result_ms / 1000
    yield _gauge("results_unwritten", "Jobs that have ended and whose CSV file is not yet written.", fleet.results)
    yield _gauge("results_oldest_unwritten_seconds", "How long the first of them has waited.", oldest_s)
    yield _gauge("results_undelivered", "Results that devices keep because they were refused.", facts.undelivered)
    yield _gauge("webhooks_pending", "Webhooks that are to be sent, now or again.", facts.webhooks_pending)


def _of_duties(fleet: Fleet) -> Iterator[Metric]:
    ages_s = {name: fleet.facts.duties[name] / 1000 for name in fleet.duties if name in fleet.facts.duties}
    text = "Seconds since a duty was last done, by whichever orchestrator."
    yield _by("duty", "duty_age_seconds", text, ages_s.items())
    lags = ((name, max(0.0, age_s - fleet.duties[name])) for name, age_s in ages_s.items())
    yield _by("duty", "duty_lag_seconds", "For how much longer than its interval a duty was not done.", lags)
    problems = ((name, name in fleet.facts.problems) for name in fleet.duties)
    yield _by("duty", "duty_problem", "1 while something stands in the way of a duty; health says what.", problems)

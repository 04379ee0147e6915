"""GET /metrics: this process's own counters, and the state of the whole, which every replica tells alike."""

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from tunebook_server import broker
from tunebook_server.api.access import Database, person
from tunebook_server.api.meter import Meter
from tunebook_server.api.route import Route
from tunebook_server.domain.access import Principal
from tunebook_server.domain.trial import TrialState
from tunebook_server.domain.worker import WorkerState
from tunebook_server.services import watching
from tunebook_server.services.watching import Watched

router = APIRouter(tags=["server"], route_class=Route)

Scraper = Annotated[Principal, Depends(person("metrics:read"))]
STUDY_STATES = ("running", "paused", "finished")
MEASURES = {
    "passes": ("tunebook_control_passes", "Passes of a part of the control workers."),
    "seconds": ("tunebook_control_seconds", "Seconds that a part of the control workers took."),
    "failures": ("tunebook_control_failures", "Failures of a part of the control workers."),
    "done": ("tunebook_control_done", "What a part has done: curves compacted, rows deleted."),
}
HINTS = ("sent", "failed", "dropped")

Family = CounterMetricFamily | GaugeMetricFamily


@router.get(
    "/metrics",
    operation_id="prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request, engine: Database, _: Scraper) -> Response:
    """Counters and gauges in Prometheus's text format (docs/watching.md)."""
    meter: Meter = request.app.state.meter
    whole = CollectorRegistry()
    whole.register(_Whole(watching.look(engine), watching.pool_use(engine)))
    content = generate_latest(meter.registry) + generate_latest(whole)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


class _Whole(Collector):
    def __init__(self, watched: Watched, pool: tuple[int, int]) -> None:
        self._watched, self._pool = watched, pool

    def collect(self) -> Iterator[Family]:
        watched, (used, size) = self._watched, self._pool
        version = {"version": importlib.metadata.version("tunebook")}
        yield _gauge("tunebook_build_info", "Always 1.", [(version, 1)])
        yield _gauge("tunebook_database_connections_used", "Of this process.", [({}, used)])
        yield _gauge("tunebook_database_connections_most", "Of this process.", [({}, size)])
        yield _states("tunebook_studies", "Studies.", STUDY_STATES, watched.studies)
        yield _states("tunebook_trials", "Trials.", [state.value for state in TrialState], watched.trials)
        workers = {count.state.value: count.workers for count in watched.workers}
        slots = {count.state.value: count.slots for count in watched.workers}
        states = [state.value for state in WorkerState]
        yield _states("tunebook_workers", "Workers that ever registered.", states, workers)
        yield _states("tunebook_worker_slots", "Their slots.", states, slots)
        waiting = "Queued trials of running studies."
        yield _gauge("tunebook_queue_trials", waiting, [({}, watched.queue.trials)])
        oldest = "How long the trial waits that waits longest."
        yield _gauge("tunebook_queue_oldest_seconds", oldest, [({}, watched.queue.oldest_seconds)])
        expired = "Leases that ran out and that no sweep has taken yet."
        yield _gauge("tunebook_leases_expired", expired, [({}, watched.expired_leases)])
        yield from self._control()
        yield self._hints()

    def _control(self) -> Iterator[Family]:
        totals = [(*total.name.rpartition(".")[::2], total) for total in self._watched.control]
        for measure, (name, words) in MEASURES.items():
            found = [({"part": part}, t.total) for part, what, t in totals if what == measure]
            yield _counter(name, words, found)
        ages = [({"part": part}, t.age_seconds) for part, what, t in totals if what == "passes"]
        yield _gauge("tunebook_control_pass_age_seconds", "Since the last pass ended.", ages)

    def _hints(self) -> Family:
        """Those of this server by itself, and those of all control workers together."""
        own = broker.counts()
        control = {total.name: total.total for total in self._watched.control}
        found = [({"sender": "server", "result": result}, getattr(own, result)) for result in HINTS]
        found += [({"sender": "control", "result": each}, control.get(f"hints.{each}", 0)) for each in HINTS]
        return _counter("tunebook_hints", "Hints to workers; the sweep repeats a lost one.", found)


Samples = list[tuple[dict[str, str], float]]


def _states(name: str, words: str, states: Sequence[str], found: Mapping[str, int]) -> Family:
    """All states, those that nothing is in among them: a series that comes and goes alarms nobody."""
    return _gauge(name, words, [({"state": state}, found.get(state, 0)) for state in states])


def _gauge(name: str, words: str, samples: Samples) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=tuple(samples[0][0]) if samples else ())
    for labels, value in samples:
        family.add_metric(tuple(labels.values()), value)
    return family


def _counter(name: str, words: str, samples: Samples) -> CounterMetricFamily:
    family = CounterMetricFamily(name, words, labels=tuple(samples[0][0]) if samples else ())
    for labels, value in samples:
        family.add_metric(tuple(labels.values()), value)
    return family

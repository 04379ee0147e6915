"""A worker: a training host with some slots, and what it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tunebook_server.domain.trial import Trial


@dataclass(frozen=True, slots=True)
class Worker:
    id: int
    name: str
    host: str
    slots: int
    version: str
    created_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0
    cpus: int = 0
    started_at: datetime | None = None
    last_seen_at: datetime | None = None
    stopped_at: datetime | None = None
    drain_requested_at: datetime | None = None
    """Somebody wants it to take nothing more; kept until somebody lets it accept work again."""


class WorkerState(StrEnum):
    ALIVE = "alive"
    SILENT = "silent"
    """No beat for some time: it died, or cannot reach the server."""
    DRAINING = "draining"
    """It takes nothing more and gives back what it has."""
    DRAINED = "drained"
    """It has ended for that; started again, it waits."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """`silent_seconds` since its last beat, by the database's clock; None before the first."""

    worker: Worker
    trials: tuple[Trial, ...]
    silent_seconds: float | None

    def state(self, *, silent_after_seconds: float) -> WorkerState:
        drained = self.worker.drain_requested_at is not None
        if self.worker.stopped_at is not None:
            return WorkerState.DRAINED if drained else WorkerState.STOPPED
        if self.silent_seconds is None or self.silent_seconds > silent_after_seconds:
            return WorkerState.SILENT
        return WorkerState.DRAINING if drained else WorkerState.ALIVE


@dataclass(frozen=True, slots=True)
class WorkerCount:
    """All workers in one state."""

    state: WorkerState
    workers: int
    slots: int


@dataclass(frozen=True, slots=True)
class Orders:
    """The answer to a worker's beat: `stop` names trials that it runs but may no longer run; `queues`, where
    hints for jobs go that it could run."""

    drain: bool
    stop: tuple[int, ...]
    queues: tuple[str, ...] = ()

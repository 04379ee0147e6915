"""A worker: a training host with some slots, and what it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

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


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """`silent_seconds` since its last beat, by the database's clock; None before the first."""

    worker: Worker
    trials: tuple[Trial, ...]
    silent_seconds: float | None


@dataclass(frozen=True, slots=True)
class Orders:
    """The answer to a worker's beat: `stop` names trials that it runs but may no longer run; `queues`, where
    hints for jobs go that it could run."""

    drain: bool
    stop: tuple[int, ...]
    queues: tuple[str, ...] = ()

"""What a cluster must offer so that attempts can run on it: take a job, list all, end some."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class EngineDown(Exception):
    """The engine does not answer, or takes nothing at the moment: what became of its jobs is not known."""


class Refused(Exception):
    """The engine will never take this job; the message says why."""


class WrongConfiguration(Exception):
    """The engine's own configuration cannot be used, so that no worker can start; the message says why."""


class EngineState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    TAKEN = "taken"
    """Ended by the engine or its administrator: cancelled, preempted, its node failed."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class EngineJob:
    """What is submitted: `name` is unlike any other job's, `folder` is shared with the nodes."""

    name: str
    folder: Path
    log: Path
    """Where the supervisor's own output goes."""
    gpus: int
    cpus: int
    labels: Mapping[str, str]
    notice_seconds: float
    """How long before its time is up the job would like to hear of it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A job in the engine's list: its own id, and its words for the state."""

    id: str
    state: EngineState
    detail: str


class Engine(Protocol):
    title: str
    """As people read it: "Slurm"."""

    def submit(self, job: EngineJob) -> None:
        """Raises EngineDown, Refused."""

    def jobs(self) -> Mapping[str, Seen]:
        """All of this user's, by name, in one question. Raises EngineDown."""

    def withdraw(self, ids: Collection[str]) -> None:
        """Those that still wait never start. Raises EngineDown."""

    def interrupt(self, ids: Collection[str]) -> None:
        """SIGTERM, or its like, for the supervisors of those that run. Raises EngineDown."""

    def logs(self, job: EngineJob, limit_bytes: int) -> bytes:
        """The end of what the supervisor printed; empty where there is none. Raises EngineDown."""

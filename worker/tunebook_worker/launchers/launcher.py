"""What every launcher can do. A job here is one attempt's supervisor, which starts the training."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Protocol

from tunebook_worker.orders import Order, Word


class JobState(StrEnum):
    WAITING = "waiting"
    """In the engine's queue: nothing of it runs."""
    RUNNING = "running"
    """Its supervisor runs, or may run: it looks after the lease itself."""
    ENDED = "ended"


class EngineDown(Exception):
    """The engine does not answer: what became of its jobs is not known."""


class Refused(Exception):
    """The engine does not take the job; the message says why."""


class Launcher(Protocol):
    """Names of jobs are `order.name`, or what `submit` made of it."""

    poll_seconds: float

    def submit(self, order: Order) -> str:
        """Starts the attempt, or has it wait in the engine's queue; its name. Raises EngineDown, Refused."""

    def poll(self, jobs: Collection[str]) -> Mapping[str, JobState]:
        """Where they are; a job that the engine does not know is left out. Raises EngineDown."""

    def tell(self, job: str, word: Word) -> None:
        """DRAIN: end gently and give the trial back; STOP: the same at once. An ended job does not mind."""

    def logs(self, job: str, limit_bytes: int) -> bytes:
        """The end of what the job itself printed: its supervisor's complaints, not the training's output."""

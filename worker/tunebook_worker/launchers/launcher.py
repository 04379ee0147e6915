"""What every launcher can do. A job here is one attempt's supervisor, which starts the training."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from tunebook_worker.orders import Order, Word


class JobState(StrEnum):
    WAITING = "waiting"
    """In the engine's queue: nothing of it runs, and the worker beats for it."""
    RUNNING = "running"
    """Its supervisor runs, or may run: it looks after the lease itself."""
    ENDED = "ended"


class Launcher(Protocol):
    """Names of jobs are `order.name`."""

    poll_seconds: float

    @property
    def takes(self) -> bool:
        """False while no further job should be brought: its engine does not answer."""

    def adopt(self) -> Sequence[Order]:
        """Once, at the start: the attempts of an earlier run of this worker that go on."""

    def submit(self, order: Order) -> str:
        """Starts the attempt, or has it wait in the engine's queue; its name. What the engine refuses ends as
        failed; what it cannot take at the moment is brought again with a later poll."""

    def poll(self, jobs: Collection[str]) -> Mapping[str, JobState]:
        """Where they are; as before without a word while the engine is away."""

    def tell(self, job: str, word: Word) -> None:
        """DRAIN: end gently and give the trial back; STOP: the same at once. An ended job does not mind."""

    def logs(self, job: str, limit_bytes: int) -> bytes:
        """The end of what the job itself printed: its supervisor's complaints, not the training's output."""

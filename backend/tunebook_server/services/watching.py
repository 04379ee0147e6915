"""What whoever watches the server is told of the whole, and what the control workers add to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunebook_server.domain.worker import WorkerCount
from tunebook_server.services.workers import silent_after_seconds
from tunebook_server.storage import watching, workers
from tunebook_server.storage.engine import Engine, transaction
from tunebook_server.storage.watching import Queue, Total

pool_use = watching.pool_use


@dataclass(frozen=True, slots=True)
class Watched:
    """The same from whichever replica answers."""

    studies: Mapping[str, int]
    trials: Mapping[str, int]
    queue: Queue
    expired_leases: int
    workers: Sequence[WorkerCount]
    control: Sequence[Total]


def look(engine: Engine) -> Watched:
    with transaction(engine) as connection:
        return Watched(
            studies=watching.studies_by_state(connection),
            trials=watching.trials_by_state(connection),
            queue=watching.queue(connection),
            expired_leases=watching.expired_leases(connection),
            workers=workers.counts(connection, silent_after_seconds=silent_after_seconds()),
            control=watching.control_totals(connection),
        )


def add(engine: Engine, more: Mapping[str, float]) -> None:
    """Raises the totals of all control workers together; names are ours, "sweep.seconds"."""
    if more:
        with transaction(engine) as connection:
            watching.add_control_totals(connection, more)

"""Workers: they register, beat, and say when they stop; what they hold they hold by leases."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tunebook_server.domain import paging
from tunebook_server.domain.document import Document, refuse
from tunebook_server.domain.errors import Drained, Fault, Invalid, NotFound
from tunebook_server.domain.paging import Page
from tunebook_server.domain.resources import CPUS_MOST, GPUS_MOST, read_labels
from tunebook_server.domain.texts import INTEGER_HIGHEST, name_text, whole_number
from tunebook_server.domain.trial import HELD
from tunebook_server.domain.worker import Orders, Worker, WorkerCount, WorkerRow
from tunebook_server.settings import settings
from tunebook_server.storage import attempts, audit, trials, turns, workers
from tunebook_server.storage.engine import Engine, transaction

RUNNING_MOST = 10_000
QUEUES_MOST = 1000
SILENT_AFTER_BEATS = 3


def register(
    engine: Engine,
    *,
    name: str,
    host: str,
    slots: int,
    gpus: int = 0,
    cpus: int = 0,
    labels: Mapping[str, object] | None = None,
    version: str = "",
    actor: str,
) -> Worker:
    """The worker of this name, new or started again.

    Raises Drained for one that was drained and may not accept work yet: it asks again until it may, and takes
    no hint from the others meanwhile.
    """
    name_text(name, field="name")
    with transaction(engine) as connection:
        known = workers.named(connection, name)
        if known is not None and known.drain_requested_at is not None:
            raise Drained(f"the worker {name} is drained", remedy="Let it accept work again, on Workers.")
        worker = workers.register(
            connection,
            name=name,
            host=name_text(host, field="host") if host else "",
            slots=whole_number(slots, field="slots", low=0, high=INTEGER_HIGHEST),
            gpus=whole_number(gpus, field="gpus", low=0, high=GPUS_MOST),
            cpus=whole_number(cpus, field="cpus", low=0, high=CPUS_MOST),
            labels=_labels(labels or {}),
            version=name_text(version, field="version") if version else "",
        )
        audit.write(connection, actor=actor, action="worker.register", target=f"worker:{worker.id}")
    return worker


def beat(
    engine: Engine,
    *,
    worker_id: int,
    running: Sequence[int] = (),
    waiting: Sequence[tuple[int, int]] = (),
    started_at: datetime | None = None,
) -> Orders:
    """Notes that the worker lives, as it registered at `started_at`. `running`: the trials that it works on;
    the answer names those to stop.

    `waiting`: trial and epoch of those whose jobs wait in a cluster's queue: their leases are renewed.
    """
    for field, given in (("running", running), ("waiting", waiting)):
        if len(given) > RUNNING_MOST:
            raise Invalid(f"{field} has {len(given)} trials", field=field, remedy=f"At most {RUNNING_MOST}.")
    seconds = settings().lease_seconds
    with transaction(engine) as connection:
        worker = workers.seen(connection, worker_id, started_at)
        if worker is None:
            raise NotFound(f"there is no worker {worker_id}")
        renewed = trials.beat_waiting(connection, worker_id, waiting, lease_seconds=seconds)
        attempts.beat_waiting(connection, renewed)
        found = trials.many(connection, running)
        queues = turns.queues(connection, worker, QUEUES_MOST)
    mine = {
        trial.id
        for trial in found.values()
        if trial.worker_id == worker_id and trial.state in HELD and trial.cancel_requested_at is None
    }
    mine -= {trial_id for trial_id, epoch in waiting if (trial_id, epoch) not in set(renewed)}
    stop = tuple(trial_id for trial_id in running if trial_id not in mine)
    return Orders(drain=worker.drain_requested_at is not None, stop=stop, queues=tuple(queues))


def _labels(document: Mapping[str, object]) -> dict[str, str]:
    faults: list[Fault] = []
    labels = read_labels(Document(document, field="labels", faults=faults))
    refuse(faults)
    return labels


def drain(engine: Engine, *, worker_id: int, actor: str) -> Worker:
    """The worker takes no trial from now on; at its next beat it gives back what it has, and ends.

    That uses up no attempt. Raises NotFound.
    """
    return _ask(engine, worker_id, wanted=True, actor=actor)


def undrain(engine: Engine, *, worker_id: int, actor: str) -> Worker:
    """The worker may accept work again: at once if it has not heard of the drain yet, else when it is started
    again. Raises NotFound."""
    return _ask(engine, worker_id, wanted=False, actor=actor)


def _ask(engine: Engine, worker_id: int, *, wanted: bool, actor: str) -> Worker:
    action = "worker.drain" if wanted else "worker.undrain"
    with transaction(engine) as connection:
        worker = workers.drain(connection, worker_id, wanted=wanted)
        if worker is None:
            raise NotFound(f"there is no worker {worker_id}")
        audit.write(connection, actor=actor, action=action, target=f"worker:{worker_id}")
    return worker


def names(engine: Engine, worker_ids: Collection[int]) -> dict[int, str]:
    with transaction(engine) as connection:
        return workers.names(connection, worker_ids)


def counts(engine: Engine) -> list[WorkerCount]:
    """All workers there ever were, by their state."""
    with transaction(engine) as connection:
        return workers.counts(connection, silent_after_seconds=silent_after_seconds())


def silent_after_seconds() -> float:
    """A worker that was not heard of for so long is called silent."""
    return SILENT_AFTER_BEATS * settings().beat_seconds


def gpus(engine: Engine, trial_ids: Sequence[int]) -> dict[int, str]:
    """By trial the CUDA_VISIBLE_DEVICES of its newest attempt, where its worker named them."""
    with transaction(engine) as connection:
        found = attempts.environments(connection, trial_ids)
    named = {trial_id: told.get("cuda_visible_devices") for trial_id, told in found.items()}
    return {trial_id: text for trial_id, text in named.items() if isinstance(text, str) and text}


def stopped(engine: Engine, *, worker_id: int, started_at: datetime | None = None) -> Worker:
    """It ends, as it registered at `started_at`: one that was started again meanwhile goes on."""
    with transaction(engine) as connection:
        worker = workers.stopped(connection, worker_id, started_at)
    if worker is None:
        raise NotFound(f"there is no worker {worker_id}")
    return worker


def page(engine: Engine, *, limit: int = 100, cursor: str | None = None) -> Page[WorkerRow]:
    """In order of registration, each with the trials that it holds."""
    paging.page_size(limit)
    after = 0 if cursor is None else int(paging.decode(cursor, int)[0] or 0)
    with transaction(engine) as connection:
        found = workers.after(connection, after, limit + 1)
        held = trials.held_by_workers(connection, [worker.id for worker, _ in found])
    rows = [WorkerRow(worker, tuple(held[worker.id]), silence) for worker, silence in found]
    return paging.cut(rows, limit, lambda last: (last.worker.id,))

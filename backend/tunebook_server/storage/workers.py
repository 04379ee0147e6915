"""Workers: who they are and when they were last heard of, by the database's clock."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, func, select, true, update
from sqlalchemy.dialects.postgresql import insert

from tunebook_server.domain.worker import Worker, WorkerCount, WorkerState
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection

_workers = tables.workers
_COLUMNS = tuple(_workers.c[field.name] for field in fields(Worker))


def register(
    connection: Connection,
    *,
    name: str,
    host: str,
    slots: int,
    gpus: int,
    cpus: int,
    labels: Mapping[str, str],
    version: str,
) -> Worker:
    """A new worker, or the one of this name, started again."""
    now = func.clock_timestamp()
    known = {
        "host": host,
        "slots": slots,
        "gpus": gpus,
        "cpus": cpus,
        "labels": dict(labels),
        "version": version,
        "started_at": now,
        "last_seen_at": now,
        "stopped_at": None,
    }
    statement = (
        insert(_workers)
        .values(name=name, **known)
        .on_conflict_do_update(index_elements=["name"], set_=known)
        .returning(*_COLUMNS)
    )
    return _worker(connection.execute(statement).one())


def get(connection: Connection, worker_id: int) -> Worker | None:
    row = connection.execute(select(*_COLUMNS).where(_workers.c.id == worker_id)).one_or_none()
    return None if row is None else _worker(row)


def seen(connection: Connection, worker_id: int, started_at: datetime | None) -> Worker | None:
    """It lives; one that said which registration it is of revives nothing that has stopped."""
    if started_at is None:
        return _change(connection, worker_id, {"last_seen_at": func.clock_timestamp(), "stopped_at": None})
    return _change(connection, worker_id, {"last_seen_at": func.clock_timestamp()}, started_at=started_at)


def stopped(connection: Connection, worker_id: int, started_at: datetime | None) -> Worker | None:
    now = func.clock_timestamp()
    return _change(connection, worker_id, {"last_seen_at": now, "stopped_at": now}, started_at=started_at)


def drain(connection: Connection, worker_id: int, *, wanted: bool) -> Worker | None:
    """Asks for the drain, or takes that back; the time of the first request stays."""
    first = func.coalesce(_workers.c.drain_requested_at, func.clock_timestamp())
    return _change(connection, worker_id, {"drain_requested_at": first if wanted else None})


def named(connection: Connection, name: str) -> Worker | None:
    row = connection.execute(select(*_COLUMNS).where(_workers.c.name == name)).one_or_none()
    return None if row is None else _worker(row)


def names(connection: Connection, worker_ids: Collection[int]) -> dict[int, str]:
    query = select(_workers.c.id, _workers.c.name).where(_workers.c.id.in_(worker_ids))
    return {row.id: row.name for row in connection.execute(query)}


def counts(connection: Connection, *, silent_after_seconds: float) -> list[WorkerCount]:
    """By the same rule as `WorkerRow.state`."""
    silence = func.extract("epoch", func.clock_timestamp() - _workers.c.last_seen_at)
    drained = _workers.c.drain_requested_at.is_not(None)
    state = case(
        (_workers.c.stopped_at.is_not(None) & drained, WorkerState.DRAINED.value),
        (_workers.c.stopped_at.is_not(None), WorkerState.STOPPED.value),
        (func.coalesce(silence > silent_after_seconds, true()), WorkerState.SILENT.value),
        (drained, WorkerState.DRAINING.value),
        else_=WorkerState.ALIVE.value,
    ).label("state")
    query = select(state, func.count(), func.coalesce(func.sum(_workers.c.slots), 0)).group_by(state)
    return [WorkerCount(WorkerState(name), *numbers) for name, *numbers in connection.execute(query)]


def after(connection: Connection, worker_id: int, limit: int) -> list[tuple[Worker, float | None]]:
    """Workers behind `worker_id`, each with the seconds since it was last heard of."""
    silence = func.extract("epoch", func.clock_timestamp() - _workers.c.last_seen_at)
    query = select(*_COLUMNS, silence).where(_workers.c.id > worker_id).order_by(_workers.c.id).limit(limit)
    return [
        (Worker(*row[:-1]), None if row[-1] is None else float(row[-1])) for row in connection.execute(query)
    ]


def _change(
    connection: Connection, worker_id: int, changes: Mapping[str, object], started_at: datetime | None = None
) -> Worker | None:
    """None for an unknown worker; one that has registered again after `started_at` stays as it is."""
    statement = update(_workers).where(_workers.c.id == worker_id).values(**changes).returning(*_COLUMNS)
    if started_at is not None:
        statement = statement.where(_workers.c.started_at == started_at)
    row = connection.execute(statement).one_or_none()
    return get(connection, worker_id) if row is None else _worker(row)


def _worker(row: Row[Any]) -> Worker:
    return Worker(**row._mapping)

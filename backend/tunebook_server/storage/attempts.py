"""Attempts: one row an epoch of a trial, kept for good."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Row, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on

from tunebook_server.domain.lifecycle import Ending, Fate, Outcome
from tunebook_server.domain.trial import Attempt, Checkpoint, Trial
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection

FATES_MOST = 1000
attempts, workers = tables.attempts, tables.workers
_COLUMNS = tuple(attempts.c[field.name] for field in fields(Attempt))


def add(
    connection: Connection,
    taken: Sequence[tuple[Trial, Checkpoint | None, str]],
    *,
    parameters: bool,
) -> None:
    """The attempts of the epochs at which these trials were just taken, each from its checkpoint and on its
    host; with `parameters` where those change."""
    rows = [
        {
            "trial_id": trial.id,
            "epoch": trial.epoch,
            "worker_id": trial.worker_id,
            "host": host,
            "started_at": trial.started_at,
            "resumed_from_step": None if resume is None else resume.step,
            "resumed_from_epoch": None if resume is None else resume.epoch,
            "resumed_from_trial_id": _other(trial.id, resume),
            "parameters": dict(trial.parameters) if parameters else None,
        }
        for trial, resume, host in taken
    ]
    connection.execute(attempts.insert(), rows)


def get(connection: Connection, trial_id: int, epoch: int) -> Attempt | None:
    query = select(*_COLUMNS).where(attempts.c.trial_id == trial_id, attempts.c.epoch == epoch)
    row = connection.execute(query).one_or_none()
    return None if row is None else _attempt(row)


def of_trial(connection: Connection, trial_id: int, limit: int) -> list[Attempt]:
    """The newest `limit` attempts, in order."""
    query = (
        select(*_COLUMNS)
        .where(attempts.c.trial_id == trial_id)
        .order_by(attempts.c.epoch.desc())
        .limit(limit)
    )
    return [_attempt(row) for row in connection.execute(query)][::-1]


def environments(connection: Connection, trial_ids: Sequence[int]) -> dict[int, Mapping[str, object]]:
    """By trial what its newest attempt said of the code and machine it runs on."""
    columns = attempts.c
    query = (
        select(columns.trial_id, columns.environment)
        .ext(distinct_on(columns.trial_id))
        .where(columns.trial_id.in_(trial_ids))
        .order_by(columns.trial_id, columns.epoch.desc())
    )
    return {row.trial_id: row.environment for row in connection.execute(query)}


def finish_hash(connection: Connection, trial_id: int, epoch: int) -> bytes | None:
    """What ended the attempt; None for an attempt that goes on, was lost, or never was."""
    query = select(attempts.c.finish_hash).where(attempts.c.trial_id == trial_id, attempts.c.epoch == epoch)
    return connection.execute(query).scalar_one_or_none()


def start(
    connection: Connection, trial_id: int, epoch: int, *, host: str, environment: Mapping[str, object]
) -> None:
    changes: dict[str, object] = {"started_at": func.clock_timestamp(), "environment": dict(environment)}
    _change(connection, trial_id, epoch, changes | ({"host": host} if host else {}))


def resume(connection: Connection, trial_id: int, epoch: int, chosen: Checkpoint | None, note: str) -> None:
    """The attempt goes on from `chosen` (None: it starts over), for the reason in `note`."""
    where = {
        "resumed_from_step": None if chosen is None else chosen.step,
        "resumed_from_epoch": None if chosen is None else chosen.epoch,
        "resumed_from_trial_id": _other(trial_id, chosen),
    }
    _change(connection, trial_id, epoch, {**where, "resume_note": note})


def _other(trial_id: int, chosen: Checkpoint | None) -> int | None:
    """The trial that a copied checkpoint is of."""
    return None if chosen is None or chosen.trial_id == trial_id else chosen.trial_id


def beat(connection: Connection, trial_id: int, epoch: int) -> None:
    _change(connection, trial_id, epoch, {"last_beat_at": func.clock_timestamp()})


def beat_waiting(connection: Connection, waiting: Sequence[tuple[int, int]]) -> None:
    """Of many (trial, epoch) at once."""
    if waiting:
        these = tuple_(attempts.c.trial_id, attempts.c.epoch).in_(waiting)
        connection.execute(update(attempts).where(these).values(last_beat_at=func.clock_timestamp()))


def end(
    connection: Connection,
    trial_id: int,
    epoch: int,
    ending: Ending,
    *,
    reason: str,
    finish_hash: bytes | None = None,
    exit_status: int | None = None,
    dropped_points: int = 0,
) -> None:
    _change(
        connection,
        trial_id,
        epoch,
        {
            "ended_at": func.clock_timestamp(),
            "outcome": ending.outcome.value,
            "charged": ending.charged,
            "reason": reason,
            "finish_hash": finish_hash,
            "exit_status": exit_status,
            "dropped_points": attempts.c.dropped_points + dropped_points,
        },
    )


def drop(connection: Connection, trial_id: int, epoch: int, points: int) -> None:
    """Counts points that will never be part of a curve: refused by the fence, or lost on their way."""
    _change(connection, trial_id, epoch, {"dropped_points": attempts.c.dropped_points + points})


def fates(connection: Connection, trial_id: int) -> list[Fate]:
    """Of the charged attempts that have ended; the newest 1,000, in order."""
    query = (
        select(attempts.c.outcome, attempts.c.exit_status, func.coalesce(workers.c.name, "").label("worker"))
        .outerjoin_from(attempts, workers, workers.c.id == attempts.c.worker_id)
        .where(attempts.c.trial_id == trial_id, attempts.c.charged, attempts.c.outcome.is_not(None))
        .order_by(attempts.c.epoch.desc())
        .limit(FATES_MOST)
    )
    rows = connection.execute(query)
    return [Fate(Outcome(row.outcome), row.exit_status, row.worker) for row in rows][::-1]


def worker_name(connection: Connection, trial: Trial) -> str:
    """Of the worker that holds the trial; empty for a loop."""
    query = select(workers.c.name).where(workers.c.id == trial.worker_id)
    return connection.execute(query).scalar_one_or_none() or ""


def _change(connection: Connection, trial_id: int, epoch: int, changes: Mapping[str, object]) -> None:
    connection.execute(
        update(attempts).where(attempts.c.trial_id == trial_id, attempts.c.epoch == epoch).values(**changes)
    )


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(**row._mapping)

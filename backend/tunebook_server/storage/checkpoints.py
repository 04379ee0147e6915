"""Registered checkpoints; those of one attempt lie in a folder that no other attempt of the trial has."""

from dataclasses import fields
from typing import Any

from sqlalchemy import Row, func, literal, select, tuple_, update

from tunebook_server.domain.trial import Checkpoint
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection

checkpoints = tables.checkpoints
_attempts = tables.attempts
_COLUMNS = tuple(checkpoints.c[field.name] for field in fields(Checkpoint))


def add(
    connection: Connection, *, trial_id: int, epoch: int, step: int, uri: str, metric: float | None
) -> Checkpoint:
    statement = (
        checkpoints.insert()
        .values(trial_id=trial_id, epoch=epoch, step=step, uri=uri, metric=metric)
        .returning(*_COLUMNS)
    )
    return _checkpoint(connection.execute(statement).one())


def get(connection: Connection, trial_id: int, epoch: int, step: int) -> Checkpoint | None:
    query = select(*_COLUMNS).where(
        checkpoints.c.trial_id == trial_id, checkpoints.c.epoch == epoch, checkpoints.c.step == step
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _checkpoint(row)


def last(connection: Connection, trial_id: int) -> Checkpoint | None:
    """Where training goes on: the furthest of the newest epoch that registered any."""
    query = (
        select(*_COLUMNS)
        .where(checkpoints.c.trial_id == trial_id)
        .order_by(checkpoints.c.epoch.desc(), checkpoints.c.step.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _checkpoint(row)


def before(
    connection: Connection, trial_id: int, position: tuple[int, int] | None, limit: int
) -> list[Checkpoint]:
    """The newest first, from before the (epoch, step) of `position` on."""
    query = select(*_COLUMNS).where(checkpoints.c.trial_id == trial_id)
    if position is not None:
        query = query.where(tuple_(checkpoints.c.epoch, checkpoints.c.step) < position)
    query = query.order_by(checkpoints.c.epoch.desc(), checkpoints.c.step.desc()).limit(limit)
    return [_checkpoint(row) for row in connection.execute(query)]


def folder_owner(connection: Connection, trial_id: int, epoch: int, folder: str) -> int | None:
    """The other epoch of the trial that has checkpoints in this folder or above it; an attempt may use
    several folders, one a step for example.
    """
    above = func.substring(func.rtrim(checkpoints.c.uri, "/"), "^(.*)/[^/]*$")
    theirs = func.coalesce(func.nullif(above, ""), ".")
    query = (
        select(checkpoints.c.epoch)
        .where(checkpoints.c.trial_id == trial_id, checkpoints.c.epoch != epoch)
        .where(func.starts_with(literal(folder + "/"), theirs + "/"))
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def own_folder(connection: Connection, trial_id: int, epoch: int, folder: str) -> None:
    """Notes the folder of an attempt's first checkpoint."""
    connection.execute(
        update(_attempts)
        .where(_attempts.c.trial_id == trial_id, _attempts.c.epoch == epoch)
        .where(_attempts.c.checkpoint_folder.is_(None))
        .values(checkpoint_folder=folder)
    )


def _checkpoint(row: Row[Any]) -> Checkpoint:
    return Checkpoint(**row._mapping)

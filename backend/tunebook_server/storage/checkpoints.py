"""Registered checkpoints; those of one attempt lie in a folder that no other attempt of the trial has."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Row, func, literal, literal_column, select, tuple_, update

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial import Checkpoint, Trial
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection

checkpoints = tables.checkpoints
_attempts = tables.attempts
_trials = tables.trials
_COLUMNS = tuple(checkpoints.c[field.name] for field in fields(Checkpoint))
_ENDED_STATES = ("completed", "infeasible", "stopped", "failed")
_ENDED = _trials.c.state.in_(_ENDED_STATES)
_LIVE = checkpoints.c.condemned_at.is_(None)
_OWN = checkpoints.alias("own")


def add(
    connection: Connection,
    *,
    trial_id: int,
    epoch: int,
    step: int,
    uri: str,
    metric: float | None,
    size_bytes: int | None,
    content_hash: str,
) -> Checkpoint:
    """What was registered under the same uri is overwritten, and so removed. The trial's row is locked."""
    _overwrite(connection, trial_id, uri, step)
    statement = (
        checkpoints.insert()
        .values(
            trial_id=trial_id,
            epoch=epoch,
            step=step,
            uri=uri,
            metric=metric,
            size_bytes=size_bytes,
            content_hash=content_hash,
        )
        .returning(*_COLUMNS)
    )
    return _checkpoint(connection.execute(statement).one())


def get(connection: Connection, trial_id: int, epoch: int, step: int) -> Checkpoint | None:
    query = select(*_COLUMNS).where(
        checkpoints.c.trial_id == trial_id, checkpoints.c.epoch == epoch, checkpoints.c.step == step
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _checkpoint(row)


def last(connection: Connection, trial: Trial) -> Checkpoint | None:
    """Where training goes on: the furthest of the newest epoch that registered any, or the copied one."""
    found = resumable(connection, trial, 1)
    return found[0] if found else None


def resumable(connection: Connection, trial: Trial, limit: int) -> list[Checkpoint]:
    """The last one, and those before it back to the copied one; none that is condemned."""
    own = newest(connection, trial.id, limit, after_epoch=trial.copied_epoch or 0)
    if len(own) == limit or trial.copied_checkpoint_id is None:
        return own
    copied = checkpoints.c.id == trial.copied_checkpoint_id
    row = connection.execute(select(*_COLUMNS).where(copied, _LIVE)).one_or_none()
    return own if row is None else [*own, _checkpoint(row)]


def newest(connection: Connection, trial_id: int, limit: int, after_epoch: int = 0) -> list[Checkpoint]:
    """Its own, the furthest of the newest epoch first; none that is condemned."""
    query = (
        select(*_COLUMNS)
        .where(checkpoints.c.trial_id == trial_id, checkpoints.c.epoch > after_epoch, _LIVE)
        .order_by(checkpoints.c.epoch.desc(), checkpoints.c.step.desc())
        .limit(limit)
    )
    return [_checkpoint(row) for row in connection.execute(query)]


def hold(connection: Connection, checkpoint_id: int) -> bool:
    """Whether it is there to be copied, and stays so until the transaction ends.

    Without waiting: whoever judges checkpoints holds them before their study, and copies hold it after.
    """
    query = select(checkpoints.c.id).where(checkpoints.c.id == checkpoint_id, _LIVE)
    return connection.execute(query.with_for_update(read=True, skip_locked=True)).first() is not None


def hold_all(connection: Connection, trial_id: int) -> None:
    """To judge them: nobody copies one of the trial's until the transaction ends."""
    query = select(checkpoints.c.id).where(checkpoints.c.trial_id == trial_id, _LIVE)
    connection.execute(query.order_by(checkpoints.c.id).with_for_update(key_share=True))


def wanted(connection: Connection, trial_id: int) -> frozenset[int]:
    """Ids of the trial's checkpoints that others go on from, until those have one of their own again."""
    own = _OWN.c
    since = (own.trial_id == _trials.c.id) & (own.epoch > _trials.c.copied_epoch) & own.condemned_at.is_(None)
    query = (
        select(checkpoints.c.id)
        .join(_trials, _trials.c.copied_checkpoint_id == checkpoints.c.id)
        .where(checkpoints.c.trial_id == trial_id, _trials.c.state.not_in(_ENDED_STATES))
        .where(~select(own.id).where(since).exists())
    )
    return frozenset(connection.execute(query).scalars())


def live(connection: Connection, trial_id: int) -> list[Checkpoint]:
    """All that are not condemned, the oldest first."""
    query = (
        select(*_COLUMNS)
        .where(checkpoints.c.trial_id == trial_id, checkpoints.c.condemned_at.is_(None))
        .order_by(checkpoints.c.epoch, checkpoints.c.step)
    )
    return [_checkpoint(row) for row in connection.execute(query)]


def before(
    connection: Connection, trial_id: int, position: tuple[int, int] | None, limit: int
) -> list[Checkpoint]:
    """The newest first, from before the (epoch, step) of `position` on."""
    query = select(*_COLUMNS).where(checkpoints.c.trial_id == trial_id)
    if position is not None:
        query = query.where(tuple_(checkpoints.c.epoch, checkpoints.c.step) < position)
    query = query.order_by(checkpoints.c.epoch.desc(), checkpoints.c.step.desc()).limit(limit)
    return [_checkpoint(row) for row in connection.execute(query)]


def given_up(connection: Connection, trial_id: int, epoch: int) -> list[int]:
    """Steps of this attempt's condemned checkpoints."""
    query = select(checkpoints.c.step).where(
        checkpoints.c.trial_id == trial_id,
        checkpoints.c.epoch == epoch,
        checkpoints.c.condemned_at.is_not(None),
    )
    return sorted(connection.execute(query).scalars())


def score(connection: Connection, checkpoint_id: int, metric: float, metric_step: int) -> None:
    """The objective's value for it, from the evaluation at `metric_step`."""
    connection.execute(
        update(checkpoints)
        .where(checkpoints.c.id == checkpoint_id)
        .values(metric=metric, metric_step=metric_step)
    )


def condemn(connection: Connection, reasons: Mapping[int, str]) -> None:
    """By id: never resumed from any more, and to be removed from their store."""
    for checkpoint_id, reason in reasons.items():
        connection.execute(
            update(checkpoints)
            .where(checkpoints.c.id == checkpoint_id, checkpoints.c.condemned_at.is_(None))
            .values(condemned_at=func.clock_timestamp(), removal_reason=reason)
        )


def condemned(
    connection: Connection, *, root: str, worker_id: int, host: str | None, limit: int
) -> list[Checkpoint]:
    """Condemned ones below `root`, the longest condemned first; with a `host`, of attempts of that host or
    of that worker alone."""
    query = (
        select(*_COLUMNS)
        .where(checkpoints.c.condemned_at.is_not(None), checkpoints.c.removed_at.is_(None))
        .where(func.starts_with(checkpoints.c.uri, root.rstrip("/") + "/"))
        .order_by(checkpoints.c.condemned_at, checkpoints.c.id)
        .limit(limit)
    )
    if host is not None:
        same = (_attempts.c.trial_id == checkpoints.c.trial_id) & (_attempts.c.epoch == checkpoints.c.epoch)
        query = query.join(_attempts, same)
        query = query.where((_attempts.c.worker_id == worker_id) | (_attempts.c.host == host))
    return [_checkpoint(row) for row in connection.execute(query)]


def removed(connection: Connection, checkpoint_ids: Sequence[int]) -> list[Checkpoint]:
    """Notes that these condemned ones are gone from their store; those noted already are left out."""
    statement = (
        update(checkpoints)
        .where(checkpoints.c.id.in_(checkpoint_ids))
        .where(checkpoints.c.condemned_at.is_not(None), checkpoints.c.removed_at.is_(None))
        .values(removed_at=func.clock_timestamp())
        .returning(*_COLUMNS)
    )
    return [_checkpoint(row) for row in connection.execute(statement)]


def put_off(connection: Connection, checkpoint_ids: Sequence[int]) -> None:
    """Behind all others that are condemned."""
    connection.execute(
        update(checkpoints)
        .where(checkpoints.c.id.in_(checkpoint_ids))
        .where(checkpoints.c.condemned_at.is_not(None), checkpoints.c.removed_at.is_(None))
        .values(condemned_at=func.clock_timestamp())
    )


def settle(connection: Connection, trial_id: int, retention: str) -> None:
    """`open`: to be judged again when the trial has ended; `kept`: when better ones have; else `settled`."""
    connection.execute(update(_trials).where(_trials.c.id == trial_id).values(retention=retention))


def reopen(connection: Connection, study_id: int) -> None:
    """The study's policy has changed: its trials are judged again."""
    connection.execute(
        update(_trials)
        .where(_trials.c.study_id == study_id)
        .where(_trials.c.id.in_(select(checkpoints.c.trial_id)))
        .values(retention="open")
    )


def unsettled(connection: Connection, limit: int) -> list[int]:
    """Ended trials whose checkpoints were last judged while they ran."""
    is_open = _trials.c.retention == literal_column("'open'")
    query = select(_trials.c.id).where(is_open, _ENDED).order_by(_trials.c.id).limit(limit)
    return list(connection.execute(query).scalars())


def best_trials(connection: Connection, study_id: int, objective: Objective, limit: int) -> list[int]:
    """The best ended trials of a study, the best first."""
    order = _trials.c.objective.asc() if objective.sign > 0 else _trials.c.objective.desc()
    query = (
        select(_trials.c.id)
        .where(_trials.c.study_id == study_id, _trials.c.objective.is_not(None))
        .where(_trials.c.state.in_(["completed", "stopped"]))
        .order_by(order, _trials.c.number)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def keeping(connection: Connection, study_id: int) -> list[int]:
    """Ended trials that keep checkpoints because they are among the best of the study."""
    query = select(_trials.c.id).where(_trials.c.study_id == study_id, _trials.c.retention == "kept")
    return sorted(connection.execute(query).scalars())


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


def _overwrite(connection: Connection, trial_id: int, uri: str, step: int) -> None:
    now = func.clock_timestamp()
    connection.execute(
        update(checkpoints)
        .where(checkpoints.c.trial_id == trial_id, checkpoints.c.uri == uri)
        .where(checkpoints.c.removed_at.is_(None))
        .values(
            condemned_at=func.coalesce(checkpoints.c.condemned_at, now),
            removed_at=now,
            removal_reason=f"overwritten by the checkpoint of step {step}",
        )
    )


def _checkpoint(row: Row[Any]) -> Checkpoint:
    return Checkpoint(**row._mapping)

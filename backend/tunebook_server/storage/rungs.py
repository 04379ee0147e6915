"""What trials had at the rungs of their study's scheduler, and what was decided, in that order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from tunebook_server.domain.schedulers.population import Member
from tunebook_server.domain.schedulers.scheduler import Earlier, Kind
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection

_rungs = tables.rungs


@dataclass(frozen=True, slots=True)
class Rung:
    """A trial at a rung; `decision`: continue or stop, or of a population resume or copy after pause."""

    id: int
    trial_id: int
    bracket: int
    step: int
    loss: float
    decision: str


def add(
    connection: Connection,
    *,
    study_id: int,
    trial_id: int,
    bracket: int,
    step: int,
    loss: float,
    decision: str,
) -> None:
    """The study's row is locked: decisions of a study come one after another."""
    values = {"bracket": bracket, "step": step, "loss": loss, "decision": decision}
    connection.execute(_rungs.insert().values(study_id=study_id, trial_id=trial_id, **values))


def earlier(connection: Connection, *, study_id: int, bracket: int, step: int) -> Earlier:
    """All trials that were judged there."""
    columns = func.array_agg(_rungs.c.loss), func.array_agg(_rungs.c.decision == Kind.CONTINUE)
    query = select(*columns).where(
        _rungs.c.study_id == study_id, _rungs.c.bracket == bracket, _rungs.c.step == step
    )
    losses, went_on = connection.execute(query).one()
    return Earlier(np.array(losses or [], np.float64), np.array(went_on or [], np.bool_))


def settle(connection: Connection, trial_id: int, decision: str) -> int | None:
    """What becomes of a paused trial now that its turn has come; the rung, or None for one that was not
    paused."""
    statement = (
        update(_rungs)
        .where(_rungs.c.trial_id == trial_id, _rungs.c.decision == "pause")
        .values(decision=decision, decided_at=func.clock_timestamp())
        .returning(_rungs.c.step)
    )
    return max(connection.execute(statement).scalars(), default=None)


def mark(connection: Connection, trial_id: int, step: int, decision: str) -> None:
    statement = update(_rungs).where(_rungs.c.trial_id == trial_id, _rungs.c.step == step)
    connection.execute(statement.values(decision=decision))


def members(connection: Connection, *, study_id: int, upto: int) -> list[Member]:
    """The last evaluation at a rung up to step `upto` of every trial that goes on or is completed."""
    trials, later = tables.trials, _rungs.alias()
    newest = (
        select(later.c.loss)
        .where(later.c.trial_id == _rungs.c.trial_id)
        .order_by(later.c.step.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(_rungs.c.trial_id, _rungs.c.loss, newest < np.inf)
        .ext(distinct_on(_rungs.c.trial_id))
        .join(trials, trials.c.id == _rungs.c.trial_id)
        .where(_rungs.c.study_id == study_id, _rungs.c.step <= upto)
        .where(trials.c.state.not_in(("infeasible", "stopped", "failed")))
        .order_by(_rungs.c.trial_id, _rungs.c.step.desc())
    )
    return [Member(*row) for row in connection.execute(query)]


def of_study(connection: Connection, study_id: int, since: int) -> list[Rung]:
    """At rungs from step `since` on, by trial and step."""
    columns = tuple(_rungs.c[name] for name in Rung.__slots__)
    query = select(*columns).where(_rungs.c.study_id == study_id, _rungs.c.step >= since)
    return [Rung(*row) for row in connection.execute(query.order_by(_rungs.c.trial_id, _rungs.c.step))]


def some(connection: Connection, ids: Sequence[int]) -> list[Rung]:
    columns = tuple(_rungs.c[name] for name in Rung.__slots__)
    query = select(*columns).where(_rungs.c.id.in_(ids)).order_by(_rungs.c.id)
    return [Rung(*row) for row in connection.execute(query)]


def since(connection: Connection, study_id: int, first_id: int, limit: int) -> list[Rung]:
    """From `first_id` on, in the order of decisions."""
    columns = tuple(_rungs.c[name] for name in Rung.__slots__)
    query = (
        select(*columns)
        .where(_rungs.c.study_id == study_id, _rungs.c.id >= first_id)
        .order_by(_rungs.c.id)
        .limit(limit)
    )
    return [Rung(*row) for row in connection.execute(query)]

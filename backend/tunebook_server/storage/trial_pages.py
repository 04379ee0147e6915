"""Pages of a study's trials in any order, by keyset: NaN sorts above every number, what is missing last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Text, cast, func, literal, select, tuple_

from tunebook_server.domain.filters.tree import Filter
from tunebook_server.domain.paging import Key
from tunebook_server.domain.places import Place
from tunebook_server.domain.trial import Trial, TrialState
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection
from tunebook_server.storage.filters import condition
from tunebook_server.storage.trial_fields import EVERY, TYPES, Kind, field, parameter
from tunebook_server.storage.trials import COLUMNS, read

trials = tables.trials


@dataclass(frozen=True, slots=True)
class Order:
    """What to sort by: a column, a hyperparameter in its place, or the last value of a metric."""

    by: str | Place | tuple[Literal["last"], str]
    kind: Kind
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """The trials in these states (none stands for all) that the filter holds for."""

    states: Sequence[TrialState] = ()
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class TrialAt:
    """A trial and its position in the order."""

    trial: Trial
    worker: str
    position: tuple[Key, Key]


def after(
    connection: Connection,
    study_id: int,
    *,
    order: Order,
    wanted: Wanted,
    position: tuple[Key, int] | None,
    limit: int,
) -> list[TrialAt]:
    """Up to `limit` trials behind `position`.

    One range of an index for "number" and "objective", a scan of the study's trials for anything else.
    """
    key = _key(study_id, order)
    query = _matching(study_id, wanted, key)
    found: list[TrialAt] = []
    if position is None or position[0] is not None:
        found = _read(
            connection, _range(query.where(key.is_not(None)), key, order, position).limit(limit), order
        )
    if len(found) < limit and order.by != "number":
        missing = query.where(key.is_(None))
        if position is not None and position[0] is None:
            missing = missing.where(_behind(trials.c.number, position[1], order))
        direction = trials.c.number.desc() if order.descending else trials.c.number.asc()
        found += _read(connection, missing.order_by(direction).limit(limit - len(found)), order)
    return found


def count(connection: Connection, study_id: int, *, wanted: Wanted, most: int) -> int:
    """How many trials are wanted, counted up to `most`."""
    found = select(literal(1)).select_from(EVERY).where(*conditions(study_id, wanted)).limit(most)
    return connection.execute(select(func.count()).select_from(found.subquery())).scalar_one()


def conditions(study_id: int, wanted: Wanted) -> list[ColumnElement[bool]]:
    """On `EVERY`."""
    found: list[ColumnElement[bool]] = [trials.c.study_id == study_id]
    if wanted.states:
        found.append(trials.c.state.in_([state.value for state in wanted.states]))
    if wanted.filter is not None:
        found.append(condition(wanted.filter))
    return found


def _range(
    query: Select[Any], key: ColumnElement[Any], order: Order, position: tuple[Key, int] | None
) -> Select[Any]:
    columns = (key,) if order.by == "number" else (key, trials.c.number)
    if position is not None:
        value = cast(literal(_bound(position[0]), Text()), TYPES[order.kind])
        bounds = (value,) if order.by == "number" else (value, literal(position[1]))
        here, there = tuple_(*columns), tuple_(*bounds)
        query = query.where(here < there if order.descending else here > there)
    return query.order_by(*(column.desc() if order.descending else column.asc() for column in columns))


def _bound(value: Key) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _behind(column: ColumnElement[int], number: int, order: Order) -> ColumnElement[bool]:
    return column < number if order.descending else column > number


def _key(study_id: int, order: Order) -> ColumnElement[Any]:
    if isinstance(order.by, Place):
        return parameter(order.by, order.kind)
    if isinstance(order.by, tuple):
        return _last_value(study_id, order.by[1])
    return field(order.by)


def _last_value(study_id: int, metric: str) -> ColumnElement[Any]:
    curves, metrics = tables.curves.c, tables.metrics.c
    wanted = select(metrics.id).where(metrics.study_id == study_id, metrics.name == metric).scalar_subquery()
    return (
        select(curves.last_value)
        .where(curves.trial_id == trials.c.id, curves.metric_id == wanted)
        .order_by(curves.epoch.desc())
        .limit(1)
        .correlate(trials)
        .scalar_subquery()
    )


def _matching(study_id: int, wanted: Wanted, key: ColumnElement[Any]) -> Select[Any]:
    worker = func.coalesce(tables.workers.c.name, "").label("worker_name")
    query = select(*COLUMNS, worker, key.label("sort_key")).select_from(EVERY)
    return query.where(*conditions(study_id, wanted))


def _read(connection: Connection, query: Select[Any], order: Order) -> list[TrialAt]:
    rows = connection.execute(query)
    return [TrialAt(read(row), row.worker_name, (_plain(row.sort_key), row.number)) for row in rows]


def _plain(value: Any) -> Key:
    key: Key = value.isoformat() if isinstance(value, datetime) else value
    return key

"""Counts for whoever watches the server: each costs as much as there is to do, not as there ever was."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tunebook_server.storage.arrays import Doubles, Texts
from tunebook_server.storage.engine import Connection, Engine

STUDIES = "SELECT state, count(*) FROM studies GROUP BY state"
TRIALS = "SELECT state, sum(trials) FROM study_counts GROUP BY state"
QUEUE = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(t.queued_at)), 0)
  FROM trials t JOIN studies s ON s.id = t.study_id
 WHERE t.state = 'queued' AND s.state = 'running'
"""
EXPIRED = "SELECT count(*) FROM trials WHERE lease_expires_at < clock_timestamp()"
CONTROL = """
SELECT name, total, extract(epoch FROM clock_timestamp() - changed_at) FROM control_totals ORDER BY name
"""
ADD = """
INSERT INTO control_totals AS t (name, total, changed_at)
SELECT name, more, clock_timestamp() FROM unnest(%s, %s) AS s (name, more) ORDER BY name
ON CONFLICT (name) DO UPDATE SET total = t.total + excluded.total, changed_at = excluded.changed_at
"""


@dataclass(frozen=True, slots=True)
class Total:
    """`age_seconds` since it last changed."""

    name: str
    total: float
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Queue:
    """Trials of running studies that wait, and how long the one that waits longest has waited."""

    trials: int
    oldest_seconds: float


def studies_by_state(connection: Connection) -> dict[str, int]:
    return {state: int(count) for state, count in connection.exec_driver_sql(STUDIES)}


def trials_by_state(connection: Connection) -> dict[str, int]:
    return {state: int(count) for state, count in connection.exec_driver_sql(TRIALS)}


def queue(connection: Connection) -> Queue:
    trials, oldest = connection.exec_driver_sql(QUEUE).one()
    return Queue(int(trials), float(oldest))


def expired_leases(connection: Connection) -> int:
    return int(connection.exec_driver_sql(EXPIRED).scalar_one())


def control_totals(connection: Connection) -> list[Total]:
    return [Total(name, float(total), float(age)) for name, total, age in connection.exec_driver_sql(CONTROL)]


def add_control_totals(connection: Connection, more: Mapping[str, float]) -> None:
    """One statement, rows in one order: two processes that add at once never wait in a circle."""
    connection.exec_driver_sql(
        ADD, (Texts(tuple(more)), Doubles(np.array(list(more.values()), dtype=np.float64)))
    )


def pool_use(engine: Engine) -> tuple[int, int]:
    """Connections of this process in use, and how many it may have."""
    pool = engine.pool
    return int(pool.checkedout()), int(pool.size())  # type: ignore[attr-defined]

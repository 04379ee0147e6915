"""Trials of a study as columns, in one row of bytes: 10,000 of them without a row object each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection, text

from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial_columns import STATES, TrialColumns, columns_by_key

# A transaction stamps its rows with the time of its start and may commit later: read back this far.
OVERLAP_SECONDS = 60
BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)

_READ = text("""
    SELECT string_agg(int8send(id), ''), string_agg(int4send(number), ''),
           string_agg(int2send(array_position(:states, state)::int2), ''),
           string_agg(float8send(coalesce(objective, 'NaN')), ''),
           string_agg(float8send(coalesce(best_step, 'NaN')), ''),
           string_agg(float8send(coalesce(last_step, 'NaN')), ''),
           string_agg(float8send(coalesce(finished_at, 'NaN')), ''),
           '[' || string_agg(parameters::text, ',') || ']', statement_timestamp()
    FROM (SELECT id, number, state, objective, best_step::float8 AS best_step, parameters,
                 extract(epoch FROM finished_at)::float8 AS finished_at,
                 CASE WHEN finished_at IS NOT NULL THEN last_step END::float8 AS last_step FROM trials
          WHERE study_id = :study AND changed_at >= :since ORDER BY number) AS changed
""")
_READ_DURATIONS = text("""
    SELECT extract(epoch FROM finished_at - started_at)::float8
    FROM trials WHERE study_id = :study AND state IN ('completed', 'infeasible') AND started_at IS NOT NULL
    ORDER BY changed_at DESC LIMIT :limit
""")
_READ_LAST_POINTS = text("""
    SELECT coalesce(sum(points), 0)::bigint, count(*) FROM curves WHERE trial_id = ANY(:trials)
""")


@dataclass(frozen=True, slots=True)
class Changes:
    columns: TrialColumns
    read_at: datetime


def changed(
    connection: Connection, *, study_id: int, space: SearchSpace, since: datetime | None = None
) -> Changes:
    """Every trial of the study, or those changed since `since` (read back by the overlap)."""
    found = connection.execute(
        _READ,
        {"study": study_id, "since": since or BEFORE_ALL, "states": [str(state) for state in STATES]},
    ).one()
    ids, numbers, states, objective, best_step, last_step, finished_at, parameters, read_at = found
    columns = TrialColumns(
        ids=np.frombuffer(ids or b"", ">i8").astype(np.int64),
        numbers=np.frombuffer(numbers or b"", ">i4").astype(np.int64),
        states=(np.frombuffer(states or b"", ">i2") - 1).astype(np.int8),
        objective=np.frombuffer(objective or b"", ">f8").astype(np.float64),
        best_step=np.frombuffer(best_step or b"", ">f8").astype(np.float64),
        last_step=np.frombuffer(last_step or b"", ">f8").astype(np.float64),
        values=columns_by_key(space, json.loads(parameters) if parameters else []),
        finished_at=np.frombuffer(finished_at or b"", ">f8").astype(np.float64),
    )
    return Changes(columns, read_at)


def recent_durations_seconds(connection: Connection, *, study_id: int, limit: int = 50) -> list[float]:
    """How long the trials that ended last took, newest first."""
    return list(connection.scalars(_READ_DURATIONS, {"study": study_id, "limit": limit}))


def point_count(connection: Connection, *, trial_ids: Sequence[int]) -> tuple[int, int]:
    """Points and curves of these trials: they rise with every accepted batch and date a figure of curves."""
    points, curves = connection.execute(_READ_LAST_POINTS, {"trials": list(trial_ids)}).one()
    return points, curves

"""Trials that run from the moment they are made, for loops that ask; leases by the database's clock."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from psycopg.sql import SQL, Identifier

from tunebook_server.domain.trial import Trial
from tunebook_server.storage import trials
from tunebook_server.storage.arrays import Integers, Texts
from tunebook_server.storage.engine import Connection, straight
from tunebook_server.storage.trials import Made


class Holder(NamedTuple):
    client_id: str
    host: str


def add(
    connection: Connection,
    *,
    study_id: int,
    space_version: int,
    rows: Sequence[Made],
    holders: Sequence[Holder],
    lease_seconds: float,
    parameters: bool,
) -> list[Trial]:
    """A trial of each row, held by the loop of the same place, with its first attempt; with `parameters`
    where those change on the way. The study's row is locked."""
    held = list(zip(rows, holders, strict=False))
    made = straight(
        connection,
        _ADD,
        {
            "study": study_id,
            "version": space_version,
            "lease": lease_seconds,
            "keep": parameters,
            "numbers": _integers([row.number for row, _ in held]),
            "places": _integers([_NONE if row.sample_index is None else row.sample_index for row, _ in held]),
            "drawn": Texts([row.drawn_by for row, _ in held]),
            "parameters": Texts([json.dumps(row.parameters) for row, _ in held]),
            "seeds": _integers([row.seed for row, _ in held]),
            "rungs": _integers([_NONE if row.decide_at is None else row.decide_at for row, _ in held]),
            "clients": Texts([holder.client_id for _, holder in held]),
            "hosts": Texts([holder.host for _, holder in held]),
        },
    )
    return [trials.of(row) for row in made]


def _integers(numbers: Sequence[int]) -> Integers:
    return Integers(np.array(numbers, dtype=np.int64))


_NONE = -1
_ADD = (
    SQL("""
WITH new AS (
    SELECT * FROM unnest(%(numbers)s, %(places)s, %(drawn)s, %(parameters)s, %(seeds)s, %(rungs)s,
                         %(clients)s, %(hosts)s)
             AS new (number, sample_index, drawn_by, parameters, seed, rung, client_id, host)
), made AS (
    INSERT INTO trials (study_id, space_version, state, number, sample_index, drawn_by, parameters, seed,
                        decide_at, epoch, attempts, client_id, lease_expires_at, claimed_at, started_at)
    SELECT %(study)s, %(version)s, 'running', number, nullif(sample_index, -1), drawn_by, parameters::json,
           seed, nullif(rung, -1), greatest(1, first_epoch), 1, client_id,
           clock_timestamp() + make_interval(secs => %(lease)s), clock_timestamp(), clock_timestamp()
      FROM new CROSS JOIN server
    RETURNING trials.*
), begun AS (
    INSERT INTO attempts (trial_id, epoch, host, started_at, parameters)
    SELECT made.id, made.epoch, new.host, made.started_at, CASE WHEN %(keep)s THEN made.parameters END
      FROM made JOIN new USING (number)
)
SELECT {columns} FROM made ORDER BY number
""")
    .format(columns=SQL(", ").join(Identifier(column.name) for column in trials.COLUMNS))
    .as_string()
)

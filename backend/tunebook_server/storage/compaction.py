"""Loose chunks become large ones, large ones get levels: what is read later is bounded.

A trial's row is locked meanwhile, so no report comes between; a crash rolls all of it back.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tunebook_server.domain import chunk
from tunebook_server.domain.chunk import Points, merge
from tunebook_server.domain.compaction import Extent, Piece
from tunebook_server.domain.curve import summarise
from tunebook_server.domain.trial import HELD
from tunebook_server.storage.arrays import Blobs, Doubles, Integers, Texts
from tunebook_server.storage.engine import Connection


class CurveKey(NamedTuple):
    """A curve of the locked trial."""

    metric_id: int
    epoch: int


DUE = """
SELECT c.trial_id, c.metric_id, c.epoch
  FROM curves c JOIN trials t ON t.id = c.trial_id
 WHERE c.loose
   AND (c.loose_chunks >= %s OR c.epoch < t.epoch OR t.state <> ALL(%s))
 LIMIT %s
"""


def due(connection: Connection, *, loose_chunks: int, limit: int) -> dict[int, list[CurveKey]]:
    """Curves by trial that have many loose chunks, or some and nothing more to come."""
    keys: dict[int, list[CurveKey]] = defaultdict(list)
    for trial_id, *key in connection.exec_driver_sql(DUE, (loose_chunks, Texts(sorted(HELD)), limit)):
        keys[trial_id].append(CurveKey(*key))
    return keys


def lock(connection: Connection, trial_id: int) -> tuple[int, bool] | None:
    """The trial's epoch and whether it is held; None when somebody else works on it just now."""
    row = connection.exec_driver_sql(
        "SELECT epoch, state = ANY(%s) FROM trials WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED",
        (Texts(sorted(HELD)), trial_id),
    ).one_or_none()
    return None if row is None else (row[0], row[1])


EXTENTS = """
SELECT w.metric_id, w.epoch, c.level, c.sequence, c.last_sequence, c.points, c.first_step, c.last_step
  FROM unnest(%(metric_id)s, %(epoch)s) AS w (metric_id, epoch)
  JOIN metric_chunks c ON c.trial_id = %(trial_id)s AND c.metric_id = w.metric_id AND c.epoch = w.epoch
 ORDER BY c.level, c.sequence
"""


def extents(connection: Connection, trial_id: int, keys: Sequence[CurveKey]) -> dict[CurveKey, list[Extent]]:
    """By level and sequence."""
    found: dict[CurveKey, list[Extent]] = {key: [] for key in keys}
    for metric_id, epoch, *extent in connection.exec_driver_sql(EXTENTS, _keys(trial_id, keys)):
        found[CurveKey(metric_id, epoch)].append(Extent(*extent))
    return found


def gaps(connection: Connection, trial_id: int, epoch: int, *, first_sequence: int) -> list[int]:
    """The sequences, from the given one on, whose next one has not arrived."""
    query = """
        SELECT sequence FROM (
            SELECT sequence, lead(sequence) OVER (ORDER BY sequence) AS next FROM metric_batches
             WHERE trial_id = %s AND epoch = %s AND sequence >= %s) AS batches
         WHERE next > sequence + 1
    """
    return list(connection.exec_driver_sql(query, (trial_id, epoch, first_sequence)).scalars())


POINTS = """
SELECT w.place, c.first_step, c.last_step, c.steps, c.series
  FROM unnest(%(metric_id)s, %(epoch)s, %(level)s, %(sequence)s) WITH ORDINALITY
         AS w (metric_id, epoch, level, sequence, place)
  JOIN metric_chunks c ON c.trial_id = %(trial_id)s AND c.metric_id = w.metric_id AND c.epoch = w.epoch
   AND c.level = w.level AND c.sequence = w.sequence
"""


def merged(
    connection: Connection, trial_id: int, groups: Sequence[tuple[CurveKey, Sequence[Extent]]]
) -> list[Points]:
    """The points of every group of chunks, merged in order of writing."""
    chunks = [(place, key, extent) for place, (key, group) in enumerate(groups) for extent in group]
    values = _keys(trial_id, [key for _, key, _ in chunks])
    values["level"] = _integers(extent.level for _, _, extent in chunks)
    values["sequence"] = _integers(extent.sequence for _, _, extent in chunks)
    decoded: dict[int, Points] = {}
    for place, first_step, last_step, steps, series in connection.exec_driver_sql(POINTS, values):
        decoded[place - 1] = chunk.decode(steps, series, first_step=first_step, last_step=last_step)
    parts: list[list[Points]] = [[] for _ in groups]
    for number, (place, _, _) in enumerate(chunks):
        parts[place].append(decoded[number])
    return [merge(found) for found in parts]


DELETE = """
DELETE FROM metric_chunks c
 USING unnest(%(metric_id)s, %(epoch)s, %(first)s, %(last)s) AS w (metric_id, epoch, first, last)
 WHERE c.trial_id = %(trial_id)s AND c.metric_id = w.metric_id AND c.epoch = w.epoch
   AND ((c.level = 0 AND c.sequence BETWEEN w.first AND w.last)
        OR (c.level > 0 AND c.last_sequence >= w.first))
"""


def delete(
    connection: Connection, trial_id: int, groups: Sequence[tuple[CurveKey, Sequence[Extent]]]
) -> None:
    """Deletes the chunks of level 0 in the groups, and every coarser one over them or after them."""
    values = _keys(trial_id, [key for key, _ in groups])
    values["first"] = _integers(group[0].sequence for _, group in groups)
    values["last"] = _integers(group[-1].last_sequence for _, group in groups)
    connection.exec_driver_sql(DELETE, values)


INSERT = """
INSERT INTO metric_chunks (trial_id, metric_id, epoch, level, sequence, last_sequence, points,
    first_step, last_step, min_value, max_value, steps, series)
SELECT %(trial_id)s, metric_id, epoch, level, sequence, last_sequence, points,
       first_step, last_step, nullif(min_value, 'NaN'), nullif(max_value, 'NaN'), steps, series
  FROM unnest(%(metric_id)s, %(epoch)s, %(level)s, %(sequence)s, %(last_sequence)s, %(points)s,
              %(first_step)s, %(last_step)s, %(min_value)s, %(max_value)s, %(steps)s, %(series)s)
    AS s (metric_id, epoch, level, sequence, last_sequence, points,
          first_step, last_step, min_value, max_value, steps, series)
"""


def insert(connection: Connection, trial_id: int, pieces: Sequence[tuple[CurveKey, Piece]]) -> None:
    content = [piece.points for _, piece in pieces]
    values = _keys(trial_id, [key for key, _ in pieces])
    for name, column in (
        ("level", (piece.level for _, piece in pieces)),
        ("sequence", (piece.sequence for _, piece in pieces)),
        ("last_sequence", (piece.last_sequence for _, piece in pieces)),
        ("points", (piece.stands_for for _, piece in pieces)),
        ("first_step", (int(points.steps[0]) for points in content)),
        ("last_step", (int(points.steps[-1]) for points in content)),
    ):
        values[name] = _integers(column)
    summaries = [summarise(points) for points in content]
    values["min_value"] = _doubles(summary.min_value if summary else None for summary in summaries)
    values["max_value"] = _doubles(summary.max_value if summary else None for summary in summaries)
    values["steps"] = Blobs([chunk.encode_steps(points.steps) for points in content])
    values["series"] = Blobs([chunk.encode_values(points.values) for points in content])
    connection.exec_driver_sql(INSERT, values)


def set_loose(connection: Connection, trial_id: int, loose_chunks: Mapping[CurveKey, int]) -> None:
    values = _keys(trial_id, list(loose_chunks))
    values["loose_chunks"] = _integers(loose_chunks.values())
    connection.exec_driver_sql(
        """
        UPDATE curves c SET loose_chunks = w.loose_chunks
          FROM unnest(%(metric_id)s, %(epoch)s, %(loose_chunks)s) AS w (metric_id, epoch, loose_chunks)
         WHERE c.trial_id = %(trial_id)s AND c.metric_id = w.metric_id AND c.epoch = w.epoch
        """,
        values,
    )


def _keys(trial_id: int, keys: Sequence[CurveKey]) -> dict[str, object]:
    return {
        "trial_id": trial_id,
        "metric_id": _integers(key.metric_id for key in keys),
        "epoch": _integers(key.epoch for key in keys),
    }


def _integers(numbers: Iterable[int]) -> Integers:
    return Integers(np.fromiter(numbers, dtype=np.int64))


def _doubles(numbers: Iterable[float | None]) -> Doubles:
    return Doubles(np.array(list(numbers), dtype=np.float64))

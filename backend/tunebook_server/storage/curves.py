"""Curves read in bounded portions: what a plot draws decides what is loaded, not what is stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain import chunk
from tunebook_server.domain.chunk import Points, merge
from tunebook_server.domain.curve import CurveSummary, Summary
from tunebook_server.domain.system_metrics import is_system
from tunebook_server.storage.arrays import Integers, Texts
from tunebook_server.storage.engine import Connection


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `curves`: what one attempt reported of one metric."""

    trial_id: int
    number: int
    metric_id: int
    metric: str
    epoch: int
    summary: Summary
    visible_until: int | None

    def summarised(self) -> CurveSummary:
        return CurveSummary(self.trial_id, self.metric, self.epoch, self.summary, self.visible_until)


@dataclass(frozen=True, slots=True)
class Portion:
    """A range of steps of one row, both ends included, read at `level` or finer."""

    row: Row
    first_step: int
    last_step: int
    level: int

    @property
    def estimated_points(self) -> float:
        """As if steps were spread evenly."""
        summary = self.row.summary
        span = summary.last_step - summary.first_step + 1
        first, last = max(self.first_step, summary.first_step), min(self.last_step, summary.last_step)
        return summary.points * max(last - first + 1, 0) / span


@dataclass(frozen=True, slots=True)
class Loaded:
    """The points of a portion, and how many points they stand for."""

    points: Points
    total_points: int


ROWS = """
SELECT c.trial_id, t.number, c.metric_id, m.name, c.epoch,
       c.points, c.first_step, c.last_step, c.last_value, c.min_value, c.min_step, c.max_value, c.max_step,
       c.nonfinite_points,
       (SELECT min(coalesce(a.resumed_from_step, -1)) FROM attempts a
         WHERE a.trial_id = c.trial_id AND a.epoch > c.epoch)
  FROM curves c
  JOIN trials t ON t.id = c.trial_id
  JOIN metrics m ON m.id = c.metric_id
 WHERE c.trial_id = ANY(%s) AND (%s::text[] IS NULL OR m.name = ANY(%s))
 ORDER BY t.number, c.trial_id, m.name, c.epoch
"""


def rows(connection: Connection, *, trial_ids: Sequence[int], metrics: Sequence[str] | None) -> list[Row]:
    """By trial number, metric and epoch; `metrics` None for all."""
    names = None if metrics is None else Texts(metrics)
    found = connection.exec_driver_sql(ROWS, (Integers(np.array(trial_ids, dtype=np.int64)), names, names))
    return [
        Row(trial_id, number, metric_id, metric, epoch, Summary(*summary), _visible(metric, visible_until))
        for trial_id, number, metric_id, metric, epoch, *summary, visible_until in found
    ]


def _visible(metric: str, until: int | None) -> int | None:
    """The seconds of an attempt have nothing to do with the step that a later one resumed from."""
    return -1 if until is not None and is_system(metric) else until


# A level's chunk is taken only inside the range: extremes outside of it would hide those inside.
CHUNKS = """
SELECT w.place, c.points, c.first_step, c.last_step, c.steps, c.series
  FROM unnest(%(trial_id)s, %(metric_id)s, %(epoch)s, %(level)s, %(first_step)s, %(last_step)s)
       WITH ORDINALITY AS w (trial_id, metric_id, epoch, level, first_step, last_step, place)
  JOIN metric_chunks c ON c.trial_id = w.trial_id AND c.metric_id = w.metric_id AND c.epoch = w.epoch
   AND c.level <= w.level AND c.last_step >= w.first_step AND c.first_step <= w.last_step
   AND (c.level = 0 OR (c.first_step >= w.first_step AND c.last_step <= w.last_step))
 WHERE w.level = 0 OR NOT EXISTS (
    SELECT FROM metric_chunks p
     WHERE p.trial_id = c.trial_id AND p.metric_id = c.metric_id AND p.epoch = c.epoch
       AND p.level > c.level AND p.level <= w.level
       AND p.sequence <= c.sequence AND p.last_sequence >= c.last_sequence
       AND p.first_step >= w.first_step AND p.last_step <= w.last_step)
 ORDER BY w.place, c.sequence
"""


def load(connection: Connection, portions: Sequence[Portion]) -> list[Loaded]:
    """The points of every portion, in one query for all of them."""
    if not portions:
        return []
    columns = {
        "trial_id": [portion.row.trial_id for portion in portions],
        "metric_id": [portion.row.metric_id for portion in portions],
        "epoch": [portion.row.epoch for portion in portions],
        "level": [portion.level for portion in portions],
        "first_step": [portion.first_step for portion in portions],
        "last_step": [portion.last_step for portion in portions],
    }
    values = {name: Integers(np.array(column, dtype=np.int64)) for name, column in columns.items()}
    parts: list[list[Points]] = [[] for _ in portions]
    stands_for = [0] * len(portions)
    for place, points, first_step, last_step, steps, series in connection.exec_driver_sql(CHUNKS, values):
        portion = portions[place - 1]
        decoded = chunk.decode(steps, series, first_step=first_step, last_step=last_step)
        inside = decoded.between(portion.first_step, portion.last_step)
        parts[place - 1].append(inside)
        stands_for[place - 1] += points - len(decoded) + len(inside)
    merged = [merge(found) for found in parts]
    return [
        Loaded(points, len(points) if total == sum(map(len, found)) else total)
        for points, total, found in zip(merged, stands_for, parts, strict=True)
    ]


def metric_names(connection: Connection, study_id: int) -> list[str]:
    query = "SELECT name FROM metrics WHERE study_id = %s ORDER BY name"
    return list(connection.exec_driver_sql(query, (study_id,)).scalars())


def by_metric(rows: Iterable[Row]) -> dict[tuple[int, str], list[Row]]:
    """Rows of one trial and metric together, by epoch."""
    grouped: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.trial_id, row.metric), []).append(row)
    return grouped

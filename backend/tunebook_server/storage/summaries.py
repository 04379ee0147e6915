"""The row that every curve has, and the score of a trial, where appending does not tell."""

from collections.abc import Sequence

import numpy as np

from tunebook_server.domain.chunk import Points, merge
from tunebook_server.domain.curve import Score, Summary, rewritten, score, summarise
from tunebook_server.domain.objective import Objective
from tunebook_server.storage.arrays import Doubles, Integers
from tunebook_server.storage.chunks import Window, written
from tunebook_server.storage.engine import Connection

ALL_STEPS = 2**63 - 1

SUMMARIES = """
SELECT metric_id, points, first_step, last_step, last_value, min_value, min_step, max_value, max_step,
       nonfinite_points
  FROM curves WHERE trial_id = %s AND epoch = %s AND metric_id = ANY(%s)
"""

UPDATE = """
UPDATE curves c
   SET points = s.points, first_step = s.first_step, last_step = s.last_step, last_value = s.last_value,
       min_value = nullif(s.min_value, 'NaN'), min_step = nullif(s.min_step, -1),
       max_value = nullif(s.max_value, 'NaN'), max_step = nullif(s.max_step, -1),
       nonfinite_points = s.nonfinite_points,
       loose_chunks = greatest(c.loose_chunks + 1, %(compact_at)s)
  FROM unnest(%(metric_id)s, %(points)s, %(first_step)s, %(last_step)s, %(last_value)s, %(min_value)s,
              %(min_step)s, %(max_value)s, %(max_step)s, %(nonfinite_points)s)
    AS s (metric_id, points, first_step, last_step, last_value, min_value, min_step, max_value, max_step,
          nonfinite_points)
 WHERE c.trial_id = %(trial_id)s AND c.epoch = %(epoch)s AND c.metric_id = s.metric_id
"""


def rewrite(
    connection: Connection, *, trial_id: int, sequence: int, windows: Sequence[Window], compact_at: int
) -> None:
    """Brings summaries up to date after the chunk `sequence` touched steps that may have been written before.

    The windows are the steps that it covers, all of one epoch; `compact_at` calls for a compaction.
    """
    epoch = windows[0].epoch
    ids = Integers(np.array([window.metric_id for window in windows]))
    rows = connection.exec_driver_sql(SUMMARIES, (trial_id, epoch, ids))
    current = {metric_id: Summary(*row) for metric_id, *row in rows}
    summaries: dict[int, Summary] = {}
    for window, parts in zip(windows, written(connection, trial_id, windows), strict=True):
        before = merge([points for number, points in parts.items() if number != sequence])
        after = rewritten(current[window.metric_id], before, merge(list(parts.values())))
        summaries[window.metric_id] = after or _whole(connection, trial_id, window)
    _update(connection, trial_id, epoch, summaries, compact_at)


def _whole(connection: Connection, trial_id: int, window: Window) -> Summary:
    everything = Window(window.metric_id, window.epoch, 0, ALL_STEPS)
    (parts,) = written(connection, trial_id, [everything])
    summary = summarise(merge(list(parts.values())))
    assert summary is not None
    return summary


def _update(
    connection: Connection, trial_id: int, epoch: int, summaries: dict[int, Summary], compact_at: int
) -> None:
    rows = list(summaries.values())
    values: dict[str, object] = {"trial_id": trial_id, "epoch": epoch, "compact_at": compact_at}
    values["metric_id"] = Integers(np.array(list(summaries)))
    for name in ("points", "first_step", "last_step", "nonfinite_points"):
        values[name] = Integers(np.array([getattr(row, name) for row in rows]))
    for name in ("min_step", "max_step"):
        steps = [getattr(row, name) for row in rows]
        values[name] = Integers(np.array([-1 if step is None else step for step in steps]))
    for name in ("last_value", "min_value", "max_value"):
        values[name] = Doubles(np.array([getattr(row, name) for row in rows], dtype=np.float64))
    connection.exec_driver_sql(UPDATE, values)


VISIBLE = """
SELECT s.metric, s.direction, s.evaluation, c.metric_id, c.epoch, c.points, c.first_step, c.last_step,
       c.last_value, c.min_value, c.min_step, c.max_value, c.max_step, c.nonfinite_points,
       (SELECT min(coalesce(a.resumed_from_step, -1)) FROM attempts a
         WHERE a.trial_id = t.id AND a.epoch > c.epoch) AS visible_until
  FROM trials t
  JOIN studies s ON s.id = t.study_id
  LEFT JOIN metrics m ON m.study_id = s.id AND m.name = s.metric
  LEFT JOIN curves c ON c.trial_id = t.id AND c.metric_id = m.id
 WHERE t.id = %s ORDER BY c.epoch
"""


def visible_score(connection: Connection, trial_id: int) -> Score:
    """The score over the visible points of all attempts; reads points only after a resume."""
    rows = connection.exec_driver_sql(VISIBLE, (trial_id,)).all()
    objective = Objective(*rows[0][:3])
    windows, summaries = [], []
    for _, _, _, metric_id, epoch, *summary, visible_until in rows:
        if metric_id is not None and (visible_until is None or summary[1] <= visible_until):
            summaries.append(Summary(*summary))
            limit = ALL_STEPS if visible_until is None else visible_until
            windows.append(Window(metric_id, epoch, 0, limit))
    if not windows:
        return score(objective, None)
    if len(windows) == 1 and summaries[0].last_step <= windows[0].last_step:
        return score(objective, summaries[0])
    parts: list[Points] = [
        points for found in written(connection, trial_id, windows) for points in found.values()
    ]
    return score(objective, summarise(merge(parts)))

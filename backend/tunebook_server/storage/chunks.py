"""Chunks as they are read back, in order of writing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain import chunk
from tunebook_server.domain.chunk import Points
from tunebook_server.storage.arrays import Integers
from tunebook_server.storage.engine import Connection


@dataclass(frozen=True, slots=True)
class Window:
    """A range of steps of one curve of one epoch, both ends included."""

    metric_id: int
    epoch: int
    first_step: int
    last_step: int


WINDOWS = """
SELECT w.place, c.sequence, c.first_step, c.last_step, c.steps, c.series
  FROM unnest(%(metric_id)s, %(epoch)s, %(first_step)s, %(last_step)s) WITH ORDINALITY
         AS w (metric_id, epoch, first_step, last_step, place)
  JOIN metric_chunks c ON c.trial_id = %(trial_id)s AND c.metric_id = w.metric_id AND c.epoch = w.epoch
   AND c.level = 0 AND c.last_step >= w.first_step AND c.first_step <= w.last_step
 ORDER BY w.place, c.sequence
"""


def written(connection: Connection, trial_id: int, windows: Sequence[Window]) -> list[dict[int, Points]]:
    """For every window the points of each chunk by its sequence, in order of writing."""
    columns = {
        name: Integers(np.array([getattr(window, name) for window in windows], dtype=np.int64))
        for name in Window.__slots__
    }
    found: list[dict[int, Points]] = [{} for _ in windows]
    for place, sequence, first_step, last_step, steps, series in connection.exec_driver_sql(
        WINDOWS, {"trial_id": trial_id, **columns}
    ):
        window = windows[place - 1]
        points = chunk.decode(steps, series, first_step=first_step, last_step=last_step)
        found[place - 1][sequence] = points.between(window.first_step, window.last_step)
    return found

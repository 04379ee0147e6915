"""The evaluation that a checkpoint was saved after: the objective's last value up to its step."""

from collections.abc import Sequence

from tunebook_server.domain import chunk
from tunebook_server.domain.system_metrics import PREFIX
from tunebook_server.storage.arrays import Texts
from tunebook_server.storage.engine import Connection

# Of the newest attempt that has any: later steps of older ones were not part of what was trained. The chunks
# that reach over the step come first; among them, and the one that ends nearest before it, the value is.
NEAREST = """
SELECT k.first_step, k.last_step, k.steps, k.series, v.until
  FROM curves c
  JOIN metrics m ON m.id = c.metric_id AND m.name = %(metric)s
 CROSS JOIN LATERAL (
    SELECT least(%(step)s::bigint, (
        SELECT min(coalesce(a.resumed_from_step, -1)) FROM attempts a
         WHERE a.trial_id = c.trial_id AND a.epoch > c.epoch AND a.epoch <= %(epoch)s::integer)) AS until) v
  JOIN metric_chunks k ON k.trial_id = c.trial_id AND k.metric_id = c.metric_id AND k.epoch = c.epoch
   AND k.level = 0 AND k.first_step <= v.until
 WHERE c.trial_id = %(trial_id)s AND c.epoch <= %(epoch)s::integer
 ORDER BY c.epoch DESC, least(k.last_step, v.until) DESC, k.sequence DESC
 LIMIT 4
"""


LAST_VALUES = """
SELECT DISTINCT ON (m.name) m.name, c.last_value
  FROM curves c JOIN metrics m ON m.id = c.metric_id
 WHERE c.trial_id = %s AND m.name = ANY(%s)
 ORDER BY m.name, c.epoch DESC
"""


# In the order in which the study met them: an objective by another name is among the first.
REPORTED = """
SELECT m.name
  FROM curves c JOIN metrics m ON m.id = c.metric_id
 WHERE c.trial_id = %s AND NOT starts_with(m.name, %s)
 GROUP BY m.id, m.name
 ORDER BY m.id
 LIMIT %s
"""


LAST_OF_STUDY = """
SELECT DISTINCT ON (c.trial_id) c.trial_id, c.last_value
  FROM metrics m JOIN curves c ON c.metric_id = m.id
 WHERE m.study_id = %s AND m.name = %s
 ORDER BY c.trial_id, c.epoch DESC
"""


def last_values_of_study(connection: Connection, study_id: int, metric: str) -> dict[int, float]:
    """By trial the last value of a metric, where it has any."""
    rows = connection.exec_driver_sql(LAST_OF_STUDY, (study_id, metric))
    return {trial_id: float(value) for trial_id, value in rows}


def last_values(connection: Connection, trial_id: int, metrics: Sequence[str]) -> dict[str, float]:
    """By metric its last value, as the newest attempt with any had it; without a value it is missing."""
    rows = connection.exec_driver_sql(LAST_VALUES, (trial_id, Texts(metrics)))
    return {name: float(value) for name, value in rows}


def reported(connection: Connection, trial_id: int, most: int) -> list[str]:
    """Metrics that a trial's jobs have reported themselves; the study's first `most` of them."""
    return list(connection.exec_driver_sql(REPORTED, (trial_id, PREFIX, most)).scalars())


def at(
    connection: Connection, *, trial_id: int, epoch: int, metric: str, step: int
) -> tuple[float, int] | None:
    """Value and step of the metric's last point up to `step`, as attempt `epoch` had it; None without any."""
    values = {"trial_id": trial_id, "epoch": epoch, "metric": metric, "step": step}
    nearest: tuple[int, float] | None = None
    for first_step, last_step, steps, series, until in connection.exec_driver_sql(NEAREST, values):
        points = chunk.decode(steps, series, first_step=first_step, last_step=last_step).between(None, until)
        if len(points) and (nearest is None or points.steps[-1] > nearest[0]):
            nearest = int(points.steps[-1]), float(points.values[-1])
    return None if nearest is None else (nearest[1], nearest[0])

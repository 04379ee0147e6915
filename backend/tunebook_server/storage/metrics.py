"""Reports: a batch becomes one chunk a series, in a handful of statements however many series there are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tunebook_server.domain.batch import Batch
from tunebook_server.domain.compaction import LOOSE_CHUNKS
from tunebook_server.domain.curve import Score
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial import End
from tunebook_server.storage import summaries
from tunebook_server.storage.arrays import Blobs, Doubles, Integers, Texts
from tunebook_server.storage.chunks import Window
from tunebook_server.storage.engine import Connection, fetch_row

MAX_NAMES = 2_000
NAMES_LOCK = 0x4E616D65  # "Name": one transaction at a time adds metric names to a study
LOOSE_POINTS = 4_096  # a batch of so many points calls for a compaction as much as another chunk does


@dataclass(frozen=True, slots=True)
class Target:
    """The trial that a report is for; `reports` counts the batches that it has taken."""

    trial_id: int
    study_id: int
    state: str
    epoch: int
    reports: int
    score: Score
    objective: Objective
    number: int
    decide_at: int | None
    """The rung at which the study's scheduler judges it next."""


@dataclass(frozen=True, slots=True)
class Locked:
    """`content_hash` is what came under the asked sequence; `metric_ids` are the asked names', in order.
    `end`: whether somebody, or the study's scheduler, wants the attempt to end."""

    target: Target
    content_hash: bytes | None
    metric_ids: tuple[int | None, ...]
    end: End


@dataclass(frozen=True, slots=True)
class Written:
    """`late`: batches with higher sequences are there already."""

    late: bool


LOCK = """
SELECT t.study_id, t.state, t.epoch, t.reports, t.objective, t.best_step, t.last_step, t.objective_points,
       s.metric, s.direction, s.evaluation, t.number, t.decide_at,
       CASE WHEN t.cancel_requested_at IS NULL THEN '' WHEN t.decision = 'pause' THEN 'pause' ELSE 'stop' END,
       (SELECT b.content_hash FROM metric_batches b
         WHERE b.trial_id = t.id AND b.epoch = %(epoch)s::integer AND b.sequence = %(sequence)s::bigint),
       ARRAY(SELECT m.id FROM unnest(%(names)s) WITH ORDINALITY AS asked (name, place)
               LEFT JOIN metrics m ON m.study_id = t.study_id AND m.name = asked.name
              ORDER BY asked.place)
  FROM trials t JOIN studies s ON s.id = t.study_id
 WHERE t.id = %(trial_id)s::bigint
   FOR NO KEY UPDATE OF t
"""


SCORE = """
SELECT objective, best_step, last_step, objective_points FROM trials WHERE id = %(trial_id)s::bigint
"""


def lock(
    connection: Connection, *, trial_id: int, epoch: int, sequence: int, names: tuple[str, ...]
) -> Locked:
    """Locks the trial's row; raises NotFound."""
    values = {"trial_id": trial_id, "epoch": epoch, "sequence": sequence, "names": Texts(names)}
    found = fetch_row(connection, LOCK, values)
    if found is None:
        raise NotFound(f"there is no trial {trial_id}")
    study_id, state, held_epoch, reports, *score = found[:8]
    metric, direction, evaluation, number, decide_at, end, content_hash, ids = found[8:]
    objective = Objective(metric, direction, evaluation)
    target = Target(
        trial_id, study_id, state, held_epoch, reports, Score(*score), objective, number, decide_at
    )
    return Locked(target, content_hash, tuple(ids), End(end))


def content_hash(connection: Connection, *, trial_id: int, epoch: int, sequence: int) -> bytes | None:
    found: bytes | None = connection.exec_driver_sql(
        "SELECT content_hash FROM metric_batches WHERE trial_id = %s AND epoch = %s AND sequence = %s",
        (trial_id, epoch, sequence),
    ).scalar()
    return found


def add_names(connection: Connection, *, study_id: int, names: tuple[str, ...]) -> tuple[int, ...]:
    """The ids of metrics by name, new ones made; raises Invalid above `MAX_NAMES` a study."""
    connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(%s, %s::integer)", (NAMES_LOCK, study_id & 0x7FFFFFFF)
    )
    connection.exec_driver_sql(
        "INSERT INTO metrics (study_id, name) SELECT %s, unnest(%s) ON CONFLICT DO NOTHING",
        (study_id, Texts(names)),
    )
    rows = connection.exec_driver_sql("SELECT name, id FROM metrics WHERE study_id = %s", (study_id,)).all()
    if len(rows) > MAX_NAMES:
        raise Invalid(
            f"the study would have {len(rows)} metrics",
            field="series",
            remedy=f"Use at most {MAX_NAMES} names; put what varies into the step.",
        )
    ids: dict[str, int] = {found.name: found.id for found in rows}
    return tuple(ids[name] for name in names)


WRITE = """
WITH held AS (
    UPDATE trials
       SET reports = reports + 1, objective = %(objective)s::float8, best_step = %(best_step)s::bigint,
           last_step = %(scored_step)s::bigint, objective_points = %(scored_points)s,
           changed_at = CASE WHEN objective IS NOT DISTINCT FROM %(objective)s::float8
                              AND best_step IS NOT DISTINCT FROM %(best_step)s::bigint
                             THEN changed_at ELSE now() END
     WHERE id = %(trial_id)s AND epoch = %(epoch)s AND state IN ('claimed', 'running')
       AND reports = %(reports)s
       AND NOT EXISTS (SELECT FROM metric_batches
                        WHERE trial_id = %(trial_id)s AND epoch = %(epoch)s AND sequence = %(sequence)s)
    RETURNING 1
), arrived AS (
    INSERT INTO metric_batches (trial_id, epoch, sequence, content_hash, points)
    SELECT %(trial_id)s, %(epoch)s, %(sequence)s, %(content_hash)s, %(total)s FROM held
    RETURNING 1
), series AS (
    SELECT * FROM unnest(%(metric_id)s, %(points)s, %(first_step)s, %(last_step)s, %(last_value)s,
        %(min_value)s, %(min_step)s, %(max_value)s, %(max_step)s, %(nonfinite_points)s, %(steps)s, %(series)s)
      AS s (metric_id, points, first_step, last_step, last_value, min_value, min_step, max_value, max_step,
            nonfinite_points, steps, series)
     WHERE EXISTS (SELECT FROM arrived)
), chunks AS (
    INSERT INTO metric_chunks (trial_id, metric_id, epoch, level, sequence, last_sequence, points,
        first_step, last_step, min_value, max_value, steps, series)
    SELECT %(trial_id)s, metric_id, %(epoch)s, 0, %(sequence)s, %(sequence)s, points,
        first_step, last_step, nullif(min_value, 'NaN'), nullif(max_value, 'NaN'), steps, series
      FROM series
), appended AS (
    INSERT INTO curves AS c (trial_id, metric_id, epoch, points, first_step, last_step, last_value,
        min_value, min_step, max_value, max_step, nonfinite_points, loose_chunks)
    SELECT %(trial_id)s, metric_id, %(epoch)s, points, first_step, last_step, last_value,
        nullif(min_value, 'NaN'), CASE WHEN min_value <> 'NaN' THEN min_step END,
        nullif(max_value, 'NaN'), CASE WHEN max_value <> 'NaN' THEN max_step END,
        nonfinite_points, 1 + points / %(loose_points)s
      FROM series
    ON CONFLICT (trial_id, metric_id, epoch) DO UPDATE SET
        points = c.points + excluded.points,
        last_step = excluded.last_step,
        last_value = excluded.last_value,
        min_value = least(c.min_value, excluded.min_value),
        min_step = CASE WHEN excluded.min_value < c.min_value OR c.min_value IS NULL
                        THEN excluded.min_step ELSE c.min_step END,
        max_value = greatest(c.max_value, excluded.max_value),
        max_step = CASE WHEN excluded.max_value > c.max_value OR c.max_value IS NULL
                        THEN excluded.max_step ELSE c.max_step END,
        nonfinite_points = c.nonfinite_points + excluded.nonfinite_points,
        loose_chunks = c.loose_chunks + excluded.loose_chunks
    WHERE c.last_step < excluded.first_step
    RETURNING metric_id
), bumped AS (
    UPDATE studies SET revision = revision + 1, changed_at = clock_timestamp()
     WHERE id = %(bumped_study)s::bigint AND EXISTS (SELECT FROM arrived)
)
SELECT EXISTS (SELECT FROM arrived),
       CASE WHEN (SELECT count(*) FROM appended) < cardinality(%(metric_id)s) THEN
           ARRAY(SELECT metric_id FROM appended) END,
       coalesce((SELECT max(sequence) FROM metric_batches WHERE trial_id = %(trial_id)s AND epoch = %(epoch)s)
                > %(sequence)s, false)
"""


def write(
    connection: Connection,
    *,
    target: Target,
    sequence: int,
    content_hash: bytes,
    metric_ids: tuple[int, ...],
    batch: Batch,
    score: Score,
    bump: bool,
) -> Written | None:
    """Stores the batch, keeps the curves' summaries and the trial's `score`, and raises the study's revision
    if `bump`.

    None, and nothing is stored, where the trial is no longer what `target` says (a report came between, or
    the attempt has ended), or where this sequence is there already.
    """
    values: dict[str, Any] = {
        "trial_id": target.trial_id,
        "epoch": target.epoch,
        "reports": target.reports,
        "bumped_study": target.study_id if bump else None,
        "sequence": sequence,
        "content_hash": content_hash,
        "total": len(batch.steps),
        "loose_points": LOOSE_POINTS,
        "metric_id": Integers(np.array(metric_ids)),
        "steps": Blobs(_steps(batch)),
        "series": Blobs(_series(batch)),
        "objective": score.objective,
        "best_step": score.best_step,
        "scored_step": score.last_step,
        "scored_points": score.points,
    }
    for name in ("points", "first_step", "last_step", "min_step", "max_step", "nonfinite_points"):
        values[name] = Integers(getattr(batch, name))
    for name in ("last_value", "min_value", "max_value"):
        values[name] = Doubles(getattr(batch, name))
    stored = fetch_row(connection, WRITE, values)
    assert stored is not None
    arrived, appended, late = stored
    if not arrived:
        return None
    if late:
        _drop_levels(connection, values)
    if appended is not None:
        known = set(appended)
        windows = [
            Window(metric_id, target.epoch, int(batch.first_step[place]), int(batch.last_step[place]))
            for place, metric_id in enumerate(metric_ids)
            if metric_id not in known
        ]
        summaries.rewrite(
            connection, trial_id=target.trial_id, sequence=sequence, windows=windows, compact_at=LOOSE_CHUNKS
        )
    return Written(late)


def _drop_levels(connection: Connection, values: dict[str, Any]) -> None:
    """A batch that arrives after later ones is in no level: those that seem to cover it are built anew."""
    connection.exec_driver_sql(
        """
        DELETE FROM metric_chunks
         WHERE trial_id = %(trial_id)s AND metric_id = ANY(%(metric_id)s) AND epoch = %(epoch)s
           AND level > 0 AND last_sequence > %(sequence)s
        """,
        values,
    )
    connection.exec_driver_sql(
        """
        UPDATE curves SET loose_chunks = greatest(loose_chunks, %(compact_at)s)
         WHERE trial_id = %(trial_id)s AND metric_id = ANY(%(metric_id)s) AND epoch = %(epoch)s
        """,
        {**values, "compact_at": LOOSE_CHUNKS},
    )


def _steps(batch: Batch) -> list[bytes]:
    if batch.evenly_spaced.all():
        return [b""] * len(batch)
    return [
        b"" if even else batch.series(place).steps.tobytes() for place, even in enumerate(batch.evenly_spaced)
    ]


def _series(batch: Batch) -> list[bytes]:
    content = batch.values.tobytes()
    ends = (8 * np.cumsum(batch.points)).tolist()
    return [content[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def recompute_objective(connection: Connection, trial_id: int) -> None:
    """Scores a locked trial anew from what is visible: after a resuming claim, after overwritten steps."""
    score = summaries.visible_score(connection, trial_id)
    connection.exec_driver_sql(
        """
        UPDATE trials
           SET objective = %s, best_step = %s, last_step = %s, objective_points = %s, changed_at = now()
         WHERE id = %s
        """,
        (score.objective, score.best_step, score.last_step, score.points, trial_id),
    )


def score(connection: Connection, trial_id: int) -> Score:
    """Of a trial as it is."""
    found = fetch_row(connection, SCORE, {"trial_id": trial_id})
    assert found is not None
    return Score(*found)


def set_running(connection: Connection, *, trial_id: int) -> None:
    """A first report says that a claimed trial runs."""
    connection.exec_driver_sql(
        """
        UPDATE trials SET state = 'running', started_at = coalesce(started_at, now()), changed_at = now()
         WHERE id = %s AND state = 'claimed'
        """,
        (trial_id,),
    )

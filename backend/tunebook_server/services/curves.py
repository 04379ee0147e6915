"""Curves for plots and tables: every read says how many points it wants."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tunebook_server.domain.chunk import merge
from tunebook_server.domain.compaction import MAX_LEVEL, points_per_point
from tunebook_server.domain.curve import Curve, CurveSummary, bounded
from tunebook_server.domain.decimate import LEAST_POINTS
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.system_metrics import of_jobs
from tunebook_server.storage import curves
from tunebook_server.storage.curves import Loaded, Portion, Row
from tunebook_server.storage.engine import Connection, Engine, transaction

MAX_TRIALS = 10_000
MAX_POINTS = 100_000
LAST_STEP = 2**63 - 1


def read(
    engine: Engine,
    *,
    trial_ids: Sequence[int],
    metrics: Sequence[str] | None = None,
    max_points: int = 1_000,
    first_step: int | None = None,
    last_step: int | None = None,
    superseded: bool = False,
) -> list[Curve]:
    """One curve a trial and metric with points in the range of steps, by trial number and metric.

    A curve of more than `max_points` (8 to 100,000) is decimated so that it draws the same. With `superseded`
    there follows, for every attempt that has any, the curve of what it reported after the step that a later
    attempt resumed from.
    """
    _check(trial_ids, max_points)
    first = max(first_step or 0, 0)
    last = LAST_STEP if last_step is None else min(last_step, LAST_STEP)
    with transaction(engine) as connection:
        rows = curves.rows(connection, trial_ids=trial_ids, metrics=metrics)
        wanted = [shown for row in rows if (shown := visible(row, first, last))]
        found = _curves(connection, wanted, max_points)
        if superseded:
            beyond = [part for row in rows if (part := _superseded(row, first, last))]
            found += [
                replace(curve, superseded=True)
                for curve in _curves(connection, beyond, max_points, apart=True)
            ]
    return found


def of_attempt(
    engine: Engine,
    *,
    trial_id: int,
    epoch: int | None,
    chosen: Callable[[str], bool],
    max_points: int = 1_000,
    first_step: int | None = None,
    last_step: int | None = None,
) -> tuple[int, list[Curve]]:
    """Curves of the `chosen` metrics as one attempt reported them, superseded or not, and its epoch; of None
    the newest that has any. The epoch is 0 where there is none."""
    _check([trial_id], max_points)
    first, last = max(first_step or 0, 0), LAST_STEP if last_step is None else min(last_step, LAST_STEP)
    with transaction(engine) as connection:
        rows = [
            row
            for row in curves.rows(connection, trial_ids=[trial_id], metrics=None)
            if chosen(row.metric) and epoch in (None, row.epoch)
        ]
        wanted = max((row.epoch for row in rows), default=epoch or 0)
        portions = [_portion(row, first, last) for row in rows if row.epoch == wanted]
        return wanted, _curves(connection, [each for each in portions if each], max_points)


def metric_names(engine: Engine, *, study_id: int) -> list[str]:
    """What the study's jobs have reported, and not what was sampled beside them."""
    return of_jobs(all_metric_names(engine, study_id=study_id))


def all_metric_names(engine: Engine, *, study_id: int) -> list[str]:
    with transaction(engine) as connection:
        return curves.metric_names(connection, study_id)


def summaries(engine: Engine, *, trial_id: int) -> list[CurveSummary]:
    """What each attempt reported, by metric and epoch."""
    with transaction(engine) as connection:
        return [row.summarised() for row in curves.rows(connection, trial_ids=[trial_id], metrics=None)]


def last_values(
    engine: Engine, *, trial_ids: Sequence[int], metrics: Sequence[str] | None = None
) -> dict[int, dict[str, float]]:
    """By trial and metric the last visible value; reads points only of curves that a resume cut."""
    _check(trial_ids, LEAST_POINTS)
    with transaction(engine) as connection:
        return visible_last_values(connection, trial_ids=trial_ids, metrics=metrics)


def visible_last_values(
    connection: Connection, *, trial_ids: Sequence[int], metrics: Sequence[str] | None
) -> dict[int, dict[str, float]]:
    last: dict[int, dict[str, float]] = {trial_id: {} for trial_id in trial_ids}
    cut: list[Portion] = []
    rows = curves.rows(connection, trial_ids=trial_ids, metrics=metrics)
    for (trial_id, metric), group in curves.by_metric(rows).items():
        shown = [portion for row in group if (portion := visible(row, 0, LAST_STEP))]
        if len(shown) == 1 and shown[0].last_step >= shown[0].row.summary.last_step:
            last[trial_id][metric] = shown[0].row.summary.last_value
        else:
            cut += shown
    for curve in _curves(connection, cut, LEAST_POINTS):
        last[curve.trial_id][curve.metric] = float(curve.values[-1])
    return last


def _check(trial_ids: Sequence[int], max_points: int) -> None:
    if not LEAST_POINTS <= max_points <= MAX_POINTS:
        remedy = f"Use {LEAST_POINTS} to {MAX_POINTS}."
        raise Invalid(f"max_points is {max_points}", field="max_points", remedy=remedy)
    if len(trial_ids) > MAX_TRIALS:
        raise Invalid(
            f"{len(trial_ids)} trials", field="trials", remedy=f"Ask for at most {MAX_TRIALS} at once."
        )


def visible(row: Row, first: int, last: int) -> Portion | None:
    """What of it lies in this range of steps, and was not superseded by a later attempt."""
    return _portion(row, first, last if row.visible_until is None else min(last, row.visible_until))


def _superseded(row: Row, first: int, last: int) -> Portion | None:
    return None if row.visible_until is None else _portion(row, max(first, row.visible_until + 1), last)


def _portion(row: Row, first: int, last: int) -> Portion | None:
    if first > last or row.summary.first_step > last or row.summary.last_step < first:
        return None
    return Portion(row, first, last, level=0)


def _curves(
    connection: Connection, portions: Sequence[Portion], max_points: int, *, apart: bool = False
) -> list[Curve]:
    """One curve for each trial and metric, or `apart` for each attempt."""
    loaded = _load(connection, portions, max_points)
    groups: dict[tuple[int, str, int], list[tuple[Portion, Loaded]]] = {}
    for portion, points in zip(portions, loaded, strict=True):
        row = portion.row
        if len(points.points):
            groups.setdefault((row.trial_id, row.metric, row.epoch if apart else 0), []).append(
                (portion, points)
            )
    return [_curve(group, max_points) for group in groups.values()]


def _load(connection: Connection, portions: Sequence[Portion], max_points: int) -> list[Loaded]:
    """At the coarsest level that gives enough points; where steps are uneven, at a finer one in further
    turns.
    """
    asked = [replace(portion, level=_level(portion, max_points)) for portion in portions]
    loaded = curves.load(connection, asked)
    while True:
        poor = [
            place
            for place, (portion, points) in enumerate(zip(asked, loaded, strict=True))
            if portion.level > 0 and len(points.points) < max_points
        ]
        if not poor:
            return loaded
        for place in poor:
            asked[place] = replace(asked[place], level=asked[place].level - 1)
        for place, points in zip(
            poor, curves.load(connection, [asked[place] for place in poor]), strict=True
        ):
            loaded[place] = points


def _level(portion: Portion, max_points: int) -> int:
    level = 0
    while level < MAX_LEVEL and portion.estimated_points / points_per_point(level + 1) >= max_points:
        level += 1
    return level


def _curve(group: Sequence[tuple[Portion, Loaded]], max_points: int) -> Curve:
    """Attempts in order: where a later one reports a step again, its value stays."""
    row = group[-1][0].row
    points = merge([loaded.points for _, loaded in group])
    total = len(points) + sum(loaded.total_points - len(loaded.points) for _, loaded in group)
    shown = bounded(points, max_points)
    return Curve(
        trial_id=row.trial_id,
        number=row.number,
        metric=row.metric,
        epoch=row.epoch,
        steps=shown.steps,
        values=shown.values,
        total_points=total,
        decimated=total > len(shown),
    )

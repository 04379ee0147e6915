"""Figures of training curves: those of the best trials, of chosen ones, or of one."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from tunebook_server.domain.curve import Curve
from tunebook_server.domain.errors import NotFound
from tunebook_server.domain.families import families
from tunebook_server.domain.numbers import encode
from tunebook_server.domain.trial import TrialState
from tunebook_server.figures import curves
from tunebook_server.figures.curves import COLOURED_TRIALS, CurveTrial
from tunebook_server.figures.figure import Figure
from tunebook_server.services import curves as curve_reads
from tunebook_server.services.figure_kinds import OBJECTIVE_SCALES, Asked, Kind, Table, version_of_trials
from tunebook_server.storage import trial_columns as storage
from tunebook_server.storage import trials
from tunebook_server.storage.engine import transaction

BEST_CURVES = 5
CURVES_MOST = 200
POINTS_OF_ALL_CURVES = 6_000
POINTS_OF_A_CURVE = 1_000


def _draw(asked: Asked, *, kind: str) -> Figure:
    read, shown = _read_curves(asked, kind)
    plot = curves.compute(
        read,
        shown,
        asked.study.objective,
        smooth_points=asked.options.integer("smooth", 0, low=0, high=1_000),
        log_steps=asked.options.word("x", ("linear", "log"), "linear") == "log",
        value_scale=asked.options.word("y", OBJECTIVE_SCALES, "auto"),
        clip=asked.options.switch("clip", True),
    )
    return curves.draw(plot)


def _table(asked: Asked, limit: int, *, kind: str) -> Table:
    """One row a point, curve after curve."""
    return _curve_table(_read_curves(asked, kind)[0], limit)


def _version(asked: Asked, *, kind: str) -> str:
    """Of the columns and of the points that the shown trials have."""
    shown = _chosen(asked, kind)
    with transaction(asked.engine) as connection:
        points, count = storage.point_count(connection, trial_ids=shown)
    return f"{version_of_trials(asked)}.{points}.{count}"


def _read_curves(asked: Asked, kind: str) -> tuple[list[Curve], list[CurveTrial]]:
    shown, options = _curve_trials(asked, kind), asked.options
    metrics = _metrics(asked)
    first, last = options.range()
    lines = max(1, len(shown) * len(metrics))
    points = min(POINTS_OF_A_CURVE, max(100, POINTS_OF_ALL_CURVES // lines))
    read = curve_reads.read(
        asked.engine,
        trial_ids=[trial.id for trial in shown],
        metrics=list(metrics),
        max_points=points,
        first_step=None if first is None else int(np.floor(first)),
        last_step=None if last is None else int(np.ceil(last)),
        superseded=options.switch("superseded", False),
    )
    return list(read), shown


def _curve_trials(asked: Asked, kind: str) -> list[CurveTrial]:
    chosen = _chosen(asked, kind)
    with transaction(asked.engine) as connection:
        found = trials.many(connection, chosen)
    return [
        CurveTrial(trial.id, trial.number, trial.best_step, place if place < COLOURED_TRIALS else None)
        for place, trial in enumerate(found[trial_id] for trial_id in chosen)
    ]


def _chosen(asked: Asked, kind: str) -> list[int]:
    """Ids of the trials whose curves are drawn, the best first unless they are named."""
    options, columns = asked.options, asked.snapshot.columns
    if kind == "trial-curves":
        chosen = [options.integer("trial", None, low=1, high=2**63 - 1)]
    elif "trials" in options:
        chosen = options.integers("trials", most=CURVES_MOST)
    else:
        return _best(asked, options.integer("best", BEST_CURVES, low=1, high=CURVES_MOST))
    known = set(columns.ids.tolist())
    for trial_id in chosen:
        if trial_id not in known:
            raise NotFound(f"study {asked.study.id} has no trial with id {trial_id}", field="trials")
    return chosen


def _best(asked: Asked, count: int) -> list[int]:
    """The best trials first; before any has a value, the newest that run."""
    columns = asked.snapshot.columns
    shown = columns.feasible | columns.running
    held = columns.in_state(TrialState.CLAIMED, TrialState.RUNNING)
    places = np.flatnonzero(shown if shown.any() else held)
    losses = asked.study.objective.sign * columns.objective[places]
    order = np.argsort(losses, kind="stable") if shown.any() else np.argsort(-columns.numbers[places])
    return [int(trial_id) for trial_id in columns.ids[places[order[:count]]]]


def _metrics(asked: Asked) -> tuple[str, ...]:
    """Those named, those of a named family, or those of the objective's family."""
    if "metrics" in asked.options:
        return tuple(asked.options.texts("metrics"))
    names = curve_reads.metric_names(asked.engine, study_id=asked.study.id)
    found = {family.name: family.metrics for family in families(names, first=asked.study.objective.metric)}
    family = asked.options.text("family", next(iter(found), ""))
    if family not in found:
        if not names and "family" not in asked.options:
            return (asked.study.objective.metric,)
        raise NotFound(f"study {asked.study.id} has no metrics {family[:200]!r}")
    return found[family]


def _curve_table(read: Sequence[Curve], limit: int) -> Table:
    rows = [
        (curve.trial_id, curve.number, curve.metric, int(step), encode(float(value)))
        for curve in read
        for step, value in zip(curve.steps, curve.values, strict=True)
    ][:limit]
    names = ("trial_id", "number", "metric", "step", "value")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _kind(kind: str) -> Kind:
    return Kind(partial(_draw, kind=kind), partial(_table, kind=kind), partial(_version, kind=kind))


KINDS: Mapping[str, Kind] = {kind: _kind(kind) for kind in ("curves", "trial-curves")}

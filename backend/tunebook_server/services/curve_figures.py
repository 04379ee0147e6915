"""Figures of training curves: those of the best trials, of chosen ones, or of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tunebook_server.domain.curve import Curve
from tunebook_server.domain.errors import NotFound
from tunebook_server.domain.families import families
from tunebook_server.domain.numbers import encode
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Trial, TrialState
from tunebook_server.figures import curves
from tunebook_server.figures.curves import COLOURED_TRIALS, CurveTrial
from tunebook_server.figures.figure import Figure
from tunebook_server.services import curves as curve_reads
from tunebook_server.services.figure_kinds import (
    OBJECTIVE_SCALES,
    Across,
    Asked,
    AskedAcross,
    Kind,
    Table,
    version_of_trials,
)
from tunebook_server.services.figure_options import Options
from tunebook_server.storage import studies, trials
from tunebook_server.storage import trial_columns as storage
from tunebook_server.storage.engine import Engine, transaction

BEST_CURVES = 5
CURVES_MOST = 200
POINTS_OF_ALL_CURVES = 6_000
POINTS_OF_A_CURVE = 1_000


def _draw(asked: Asked, *, kind: str) -> Figure:
    return _plotted(*_read_curves(asked, kind), asked.study.objective, asked.options)


def _table(asked: Asked, limit: int, *, kind: str) -> Table:
    """One row a point, curve after curve."""
    return _curve_table(_read_curves(asked, kind)[0], limit)


def _version(asked: Asked, *, kind: str) -> str:
    """Of the columns and of the points that the shown trials have."""
    return f"{version_of_trials(asked)}.{points_word(asked.engine, _chosen(asked, kind))}"


def points_word(engine: Engine, trial_ids: Sequence[int]) -> str:
    """The same word as long as these trials have reported nothing more."""
    with transaction(engine) as connection:
        points, count = storage.point_count(connection, trial_ids=trial_ids)
    return f"{points}.{count}"


def _plotted(
    read: Sequence[Curve], shown: Sequence[CurveTrial], objective: Objective, options: Options
) -> Figure:
    plot = curves.compute(
        read,
        shown,
        objective,
        smooth_points=options.integer("smooth", 0, low=0, high=1_000),
        log_steps=options.word("x", ("linear", "log"), "linear") == "log",
        value_scale=options.word("y", OBJECTIVE_SCALES, "auto"),
        clip=options.switch("clip", True),
    )
    return curves.draw(plot)


def _read_curves(asked: Asked, kind: str) -> tuple[list[Curve], list[CurveTrial]]:
    shown, study = _curve_trials(asked, kind), asked.study
    metrics = _metrics(asked.engine, asked.options, [study.id], study.objective)
    return _bounded(asked.engine, asked.options, shown, metrics), shown


def _bounded(
    engine: Engine, options: Options, shown: Sequence[CurveTrial], metrics: Sequence[str]
) -> list[Curve]:
    first, last = options.range()
    lines = max(1, len(shown) * len(metrics))
    points = min(POINTS_OF_A_CURVE, max(100, POINTS_OF_ALL_CURVES // lines))
    return curve_reads.read(
        engine,
        trial_ids=[trial.id for trial in shown],
        metrics=list(metrics),
        max_points=points,
        first_step=None if first is None else int(np.floor(first)),
        last_step=None if last is None else int(np.ceil(last)),
        superseded=options.switch("superseded", False),
    )


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


def _metrics(
    engine: Engine, options: Options, study_ids: Sequence[int], objective: Objective
) -> tuple[str, ...]:
    """Those named, those of a named family, or those of the objective's family."""
    if "metrics" in options:
        return tuple(options.texts("metrics"))
    names = {name for study_id in study_ids for name in curve_reads.metric_names(engine, study_id=study_id)}
    found = {family.name: family.metrics for family in families(names, first=objective.metric)}
    family = options.text("family", next(iter(found), ""))
    if family not in found:
        if not names and "family" not in options:
            return (objective.metric,)
        known = "study " + ", ".join(map(str, study_ids))
        raise NotFound(f"{known} has no metrics {family[:200]!r}")
    return found[family]


def _curve_table(read: Sequence[Curve], limit: int) -> Table:
    rows = [
        (curve.trial_id, curve.number, curve.metric, int(step), encode(float(value)))
        for curve in read
        for step, value in zip(curve.steps, curve.values, strict=True)
    ][:limit]
    names = ("trial_id", "number", "metric", "step", "value")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


# Trials of several studies ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Named:
    """Trials that the options name, in that order, with their studies."""

    trials: Sequence[Trial]
    studies: Mapping[int, Study]

    @property
    def objective(self) -> Objective:
        """That of the first."""
        return self.studies[self.trials[0].study_id].objective

    def shown(self) -> list[CurveTrial]:
        """The best step is marked where the trial's own objective is the first one's."""
        several = len(self.studies) > 1
        return [
            CurveTrial(
                trial.id,
                trial.number,
                trial.best_step if study.objective.metric == self.objective.metric else None,
                place if place < COLOURED_TRIALS else None,
                f"#{study.id} {study.name}" if several else "",
            )
            for place, trial in enumerate(self.trials)
            for study in [self.studies[trial.study_id]]
        ]


def _named(asked: AskedAcross) -> _Named:
    ids = asked.options.integers("trials", most=CURVES_MOST)
    with transaction(asked.engine) as connection:
        found = trials.many(connection, ids)
        for trial_id in ids:
            if trial_id not in found:
                raise NotFound(f"there is no trial {trial_id}", field="trials")
        owners = studies.many(connection, sorted({trial.study_id for trial in found.values()}))
    return _Named([found[trial_id] for trial_id in ids], owners)


def _read_named(asked: AskedAcross) -> tuple[list[Curve], list[CurveTrial], Objective]:
    named = _named(asked)
    shown = named.shown()
    metrics = _metrics(asked.engine, asked.options, list(named.studies), named.objective)
    return _bounded(asked.engine, asked.options, shown, metrics), shown, named.objective


def _draw_named(asked: AskedAcross) -> Figure:
    return _plotted(*_read_named(asked), asked.options)


def _table_named(asked: AskedAcross, limit: int) -> Table:
    return _curve_table(_read_named(asked)[0], limit)


def _version_named(asked: AskedAcross) -> str:
    found = _named(asked).trials
    states = ".".join(f"{trial.id}:{trial.epoch}:{trial.state}:{trial.best_step}" for trial in found)
    return f"{states}.{points_word(asked.engine, [trial.id for trial in found])}"


def _kind(kind: str) -> Kind:
    return Kind(partial(_draw, kind=kind), partial(_table, kind=kind), partial(_version, kind=kind))


KINDS: Mapping[str, Kind] = {
    "curves": replace(_kind("curves"), across=Across(_draw_named, _table_named, _version_named)),
    "trial-curves": _kind("trial-curves"),
}

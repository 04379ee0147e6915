"""The figures of a study: bounded reads, computed and drawn, as Plotly JSON; and the numbers behind each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.curve import Curve
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.families import families
from tunebook_server.domain.numbers import encode
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Configuration, TrialState
from tunebook_server.domain.trial_columns import STATES
from tunebook_server.figures import axis, curves, history, preview
from tunebook_server.figures.curves import COLOURED_TRIALS, CurveTrial
from tunebook_server.figures.figure import Figure
from tunebook_server.services import curves as curve_reads
from tunebook_server.services import studies, trial_columns
from tunebook_server.services.drawn import once
from tunebook_server.services.figure_options import Options
from tunebook_server.services.trial_columns import Snapshot
from tunebook_server.storage import trial_columns as storage
from tunebook_server.storage import trials
from tunebook_server.storage.engine import Engine, transaction

BEST_CURVES = 5
CURVES_MOST = 200
POINTS_OF_ALL_CURVES = 6_000
POINTS_OF_A_CURVE = 1_000
TABLE_ROWS = 10_000
CURVE_KINDS = ("curves", "trial-curves")

Column = Sequence[int | float | str | bool | None]


@dataclass(frozen=True, slots=True)
class _Asked:
    engine: Engine
    study: Study
    snapshot: Snapshot
    options: Options


@dataclass(frozen=True, slots=True)
class Prepared:
    """A figure before it is drawn; `version` is the same word as long as the figure stays the same."""

    version: str
    json: Callable[[], str]


def figure(engine: Engine, *, study_id: int, kind: str, options: Mapping[str, str]) -> str:
    """Plotly JSON of one figure; raises as `prepare` does."""
    return prepare(engine, study_id=study_id, kind=kind, options=options).json()


def prepare(engine: Engine, *, study_id: int, kind: str, options: Mapping[str, str]) -> Prepared:
    """`theme`: light or dark; without it, colours are names of CSS variables.

    Raises NotFound for an unknown kind, hyperparameter or trial, Invalid for an option that it has not (the
    last not before it is drawn).
    """
    if kind not in _KINDS:
        raise _unknown_kind(kind)
    read = Options(options)
    palette = read.word("theme", ("", "light", "dark"), "")
    asked = _ask(engine, study_id, read)

    def draw() -> str:
        drawn = _KINDS[kind](asked)
        asked.options.refuse_others()
        return drawn.json(palette)

    version = _version(asked, kind)
    name = repr((kind, version, sorted(options.items())))
    return Prepared(version, lambda: once(engine, name, draw))


def table(engine: Engine, *, study_id: int, kind: str, options: Mapping[str, str]) -> dict[str, Column]:
    """The numbers behind the figure, by column: of all its trials up to `limit`, not of those drawn alone."""
    read = Options(options)
    limit = read.integer("limit", TABLE_ROWS, low=1, high=TABLE_ROWS)
    asked = _ask(engine, study_id, read)
    if kind in CURVE_KINDS:
        return _curve_table(_read_curves(asked, kind)[0], limit)
    if kind not in ("axis", "history"):
        raise _unknown_kind(kind)
    columns = asked.snapshot.columns
    found: dict[str, Column] = {
        "trial_id": columns.ids[:limit].tolist(),
        "number": columns.numbers[:limit].tolist(),
        "state": [str(STATES[code]) for code in columns.states[:limit]],
        asked.study.objective.metric: _cells(columns.objective[:limit]),
    }
    if kind == "axis":
        key = _key(asked)
        scale = axis.scale_of(key, asked.study.space.parameter(key))
        values = columns.values[key][:limit]
        found[key] = _names(scale.names, values) if scale.names else _cells(values)
    return found


def sampled(space: SearchSpace, configurations: Sequence[Configuration]) -> str:
    """The preview of a design: Plotly JSON of its configurations, one strip a hyperparameter."""
    return preview.draw(preview.compute(space, configurations)).json()


def _ask(engine: Engine, study_id: int, options: Options) -> _Asked:
    study = studies.get(engine, study_id=study_id)
    return _Asked(engine, study, trial_columns.read(engine, study), options)


def _version(asked: _Asked, kind: str) -> str:
    """Of the columns and, for curves, of the points that the shown trials have."""
    if kind not in CURVE_KINDS:
        return f"{asked.study.id}.{asked.snapshot.version}"
    shown = _chosen(asked, kind)
    with transaction(asked.engine) as connection:
        points, count = storage.point_count(connection, trial_ids=shown)
    return f"{asked.study.id}.{asked.snapshot.version}.{points}.{count}"


def _axis(asked: _Asked) -> Figure:
    key, options = _key(asked), asked.options
    scale = axis.scale_of(key, asked.study.space.parameter(key))
    first, last = options.range()
    plot = axis.compute(
        asked.snapshot.columns,
        scale,
        asked.study.objective,
        clip=options.switch("clip", True),
        objective_scale=options.word("y", ("auto", "linear", "log"), "auto"),
        first=first,
        last=last,
    )
    return axis.draw(plot)


def _key(asked: _Asked) -> str:
    key = asked.options.text("parameter")
    if key not in asked.snapshot.columns.values:
        asked.study.space.parameter(key)
        raise Invalid(
            f"{key[:200]} does not vary in this study", field="parameter", remedy="Name one that varies."
        )
    return key


def _history(asked: _Asked) -> Figure:
    plot = history.compute(
        asked.snapshot.columns,
        asked.study.objective,
        clip=asked.options.switch("clip", True),
        objective_scale=asked.options.word("y", ("auto", "linear", "log"), "auto"),
    )
    return history.draw(plot)


def _curves(asked: _Asked, kind: str = "curves") -> Figure:
    read, shown = _read_curves(asked, kind)
    plot = curves.compute(
        read,
        shown,
        asked.study.objective,
        smooth_points=asked.options.integer("smooth", 0, low=0, high=1_000),
        log_steps=asked.options.word("x", ("linear", "log"), "linear") == "log",
        value_scale=asked.options.word("y", ("auto", "linear", "log"), "auto"),
        clip=asked.options.switch("clip", True),
    )
    return curves.draw(plot)


def _trial_curves(asked: _Asked) -> Figure:
    return _curves(asked, "trial-curves")


def _read_curves(asked: _Asked, kind: str) -> tuple[list[Curve], list[CurveTrial]]:
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


def _curve_trials(asked: _Asked, kind: str) -> list[CurveTrial]:
    chosen = _chosen(asked, kind)
    with transaction(asked.engine) as connection:
        found = trials.many(connection, chosen)
    return [
        CurveTrial(trial.id, trial.number, trial.best_step, place if place < COLOURED_TRIALS else None)
        for place, trial in enumerate(found[trial_id] for trial_id in chosen)
    ]


def _chosen(asked: _Asked, kind: str) -> list[int]:
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


def _best(asked: _Asked, count: int) -> list[int]:
    """The best trials first; before any has a value, the newest that run."""
    columns = asked.snapshot.columns
    shown = columns.feasible | columns.running
    held = columns.in_state(TrialState.CLAIMED, TrialState.RUNNING)
    places = np.flatnonzero(shown if shown.any() else held)
    losses = asked.study.objective.sign * columns.objective[places]
    order = np.argsort(losses, kind="stable") if shown.any() else np.argsort(-columns.numbers[places])
    return [int(trial_id) for trial_id in columns.ids[places[order[:count]]]]


def _metrics(asked: _Asked) -> tuple[str, ...]:
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


def _curve_table(read: Sequence[Curve], limit: int) -> dict[str, Column]:
    """One row a point, curve after curve."""
    rows = [
        (curve.trial_id, curve.number, curve.metric, int(step), encode(float(value)))
        for curve in read
        for step, value in zip(curve.steps, curve.values, strict=True)
    ][:limit]
    names = ("trial_id", "number", "metric", "step", "value")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _cells(values: NDArray[np.float64]) -> Column:
    return [None if np.isnan(value) else encode(float(value)) for value in values]


def _names(names: Sequence[str], places: NDArray[np.float64]) -> Column:
    return [None if np.isnan(place) else names[int(place)] for place in places]


def _unknown_kind(kind: str) -> NotFound:
    return NotFound(f"there is no figure {kind[:40]!r}", remedy=f"Use one of {', '.join(_KINDS)}.")


_KINDS: Mapping[str, Callable[[_Asked], Figure]] = {
    "axis": _axis,
    "curves": _curves,
    "history": _history,
    "trial-curves": _trial_curves,
}

"""Training curves: train and validation of a trial share a colour and differ by dash, raw under smoothed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain import families
from tunebook_server.domain.curve import Curve
from tunebook_server.domain.objective import Objective
from tunebook_server.figures import labels, theme
from tunebook_server.figures.figure import Figure, compact, typed
from tunebook_server.figures.marks import wanted

DASHES = {"valid": "solid", "": "solid", "train": "dot", "test": "dashdot"}
COLOURED_TRIALS = len(theme.SERIES)
STUDY_LETTERS = 24  # in the legend
SMOOTH_FROM_POINTS = 30  # shorter curves are read point by point
CLIP_QUANTILE = 0.98
CLIP_FACTOR = 1.5  # the axis is cut only where the highest values would take up a third of it or more


@dataclass(frozen=True, slots=True)
class CurveTrial:
    """A trial of the figure; `colour` counts from 0, None for those drawn in grey behind the others; `study`
    names its study where trials of several are drawn."""

    id: int
    number: int
    best_step: int | None
    colour: int | None
    study: str = ""

    @property
    def words(self) -> str:
        """`trial 12`, `trial 12 of #3 optimizer`; as Plotly shows it literally."""
        of = f" of {labels.plain(self.study, limit=STUDY_LETTERS)}" if self.study else ""
        return f"trial {self.number}{of}"


@dataclass(frozen=True, slots=True)
class Line:
    trial: CurveTrial
    metric: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    smooth: NDArray[np.float64] | None
    best: float | None
    """The value at the trial's best step, on the objective's metric."""


@dataclass(frozen=True, slots=True)
class CurvesPlot:
    title: str
    objective: Objective
    lines: tuple[Line, ...]
    nonfinite_points: int
    limits: tuple[float, float] | None
    """The clipped range of the value axis; None where nothing is clipped."""
    log_steps: bool
    log_values: bool


def compute(
    curves: Sequence[Curve],
    trials: Sequence[CurveTrial],
    objective: Objective,
    *,
    smooth_points: int = 0,
    log_steps: bool = False,
    value_scale: str = "auto",
    clip: bool = True,
) -> CurvesPlot:
    """Lines in order of `trials`; `smooth_points` is the width of a centred mean, 0 for none.

    `value_scale`: linear, log, or auto (log where all values are positive and 96 % span a factor of 10).
    """
    by_trial: dict[int, list[Curve]] = {}
    for curve in curves:
        by_trial.setdefault(curve.trial_id, []).append(curve)
    lines = [
        _line(curve, trial, objective, smooth_points)
        for trial in trials
        for curve in sorted(
            by_trial.get(trial.id, ()), key=lambda c: families.ORDER.index(families.split(c.metric)[0])
        )
    ]
    names = sorted({families.split(curve.metric)[1] for curve in curves})
    values = np.concatenate([line.values for line in lines]) if lines else np.empty(0)
    log_values = value_scale == "log" or (value_scale == "auto" and _spans_decades(values))
    return CurvesPlot(
        title=", ".join(names) or families.split(objective.metric)[1],
        objective=objective,
        lines=tuple(lines),
        nonfinite_points=int((~np.isfinite(values)).sum()),
        limits=_limits(values, objective) if clip and not log_values else None,
        log_steps=log_steps,
        log_values=log_values,
    )


def draw(plot: CurvesPlot) -> Figure:
    layout = theme.layout(
        xaxis=theme.steps(log=plot.log_steps),
        yaxis=theme.axis(_value_title(plot), type="log" if plot.log_values else "linear"),
    )
    if not plot.lines:
        return wanted(layout, 0, 1, "trial with points")
    if plot.limits:
        layout["yaxis"]["range"] = list(plot.limits)
    coloured = [line for line in plot.lines if line.trial.colour is not None]
    behind = [line for line in plot.lines if line.trial.colour is None]
    data = [*_behind(behind, plot), *(trace for line in coloured for trace in _traces(line, coloured, plot))]
    return Figure(data, layout, _notes(plot))


def smoothed(values: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """The centred mean over `points` neighbours, without lag; NaN and infinity are left out and stay gaps.

    At most a tenth of the curve wide and symmetric up to its ends: the steep start of a training curve would
    otherwise be smeared over steps that were already flat.
    """
    half = min(points // 2, max(len(values) // 20, 1))
    finite = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counted = np.concatenate([[0], np.cumsum(finite)])
    place = np.arange(len(values))
    reach = np.minimum(half, np.minimum(place, place[::-1]))
    first, last = place - reach, place + reach + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total[last] - total[first]) / (counted[last] - counted[first])
    return np.where(finite, mean, np.nan)


def _line(curve: Curve, trial: CurveTrial, objective: Objective, smooth_points: int) -> Line:
    best = None
    if curve.metric == objective.metric and trial.best_step is not None:
        here = np.flatnonzero(curve.steps == trial.best_step)
        best = float(curve.values[here[-1]]) if len(here) and np.isfinite(curve.values[here[-1]]) else None
    smooth = smooth_points > 1 and len(curve.values) >= SMOOTH_FROM_POINTS
    smooth_values = smoothed(curve.values, smooth_points) if smooth else None
    return Line(trial, curve.metric, curve.steps, curve.values, smooth_values, best)


def _spans_decades(values: NDArray[np.float64]) -> bool:
    finite = values[np.isfinite(values)]
    if not len(finite) or finite.min() <= 0:
        return False
    low, high = np.quantile(finite, [1 - CLIP_QUANTILE, CLIP_QUANTILE])
    return bool(high > 10 * low)


def _limits(values: NDArray[np.float64], objective: Objective) -> tuple[float, float] | None:
    """A range that first, untrained steps do not flatten; None where all values fit."""
    finite = values[np.isfinite(values)]
    if len(finite) < SMOOTH_FROM_POINTS:
        return None
    losses = objective.sign * finite
    low, cut, high = float(losses.min()), float(np.quantile(losses, CLIP_QUANTILE)), float(losses.max())
    if high - low <= CLIP_FACTOR * (cut - low) or cut <= low:
        return None
    pad = 0.04 * (cut - low)
    first, last = sorted((objective.sign * (low - pad), objective.sign * (cut + pad)))
    return first, last


def _traces(line: Line, coloured: Sequence[Line], plot: CurvesPlot) -> list[dict[str, Any]]:
    """The legend names trials by colour where there are several, else metrics by dash."""
    assert line.trial.colour is not None
    color = theme.series(line.trial.colour)
    dash = DASHES[families.split(line.metric)[0]]
    several = len({other.trial.id for other in coloured}) > 1
    first = next(other for other in coloured if other.trial.id == line.trial.id) is line
    group = f"trial {line.trial.id}" if several else line.metric
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines" if len(line.steps) > 1 else "markers",
        "name": line.trial.words if several else labels.plain(line.metric),
        "showlegend": first or not several,
        "legendgroup": group,
        "meta": {"trial": line.trial.id, "metric": line.metric},
        "x": typed(line.steps),
        "y": typed(compact(_drawable(line.values, plot))),
        "line": {"color": color, "dash": dash, "width": 1.5},
        "marker": {"color": color, "size": theme.MARKER_PIXELS},
        "connectgaps": False,
        "hovertemplate": f"<b>T{line.trial.words[1:]}</b><br>{labels.plain(line.metric)} %{{y:.4~g}}"
        "<br>step %{x:,d}<extra></extra>",
    }
    traces = [trace]
    if line.smooth is not None:
        thin = {**trace["line"], "width": 1}
        raw = {**trace, "showlegend": False, "opacity": 0.3, "line": thin, "hoverinfo": "skip"}
        del raw["hovertemplate"]
        traces = [raw, {**trace, "y": typed(compact(_drawable(line.smooth, plot)))}]
    return [*traces, *_best(line, color, group)]


def _best(line: Line, color: str, group: str) -> list[dict[str, Any]]:
    if line.best is None:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "best step",
            "showlegend": False,
            "legendgroup": group,
            "meta": {"trial": line.trial.id, "metric": line.metric},
            "x": [line.trial.best_step],
            "y": [line.best],
            "marker": {
                "symbol": "diamond",
                "size": 9,
                "color": color,
                "line": {"width": 1.5, "color": theme.color("ground")},
            },
            "hovertemplate": f"<b>T{line.trial.words[1:]}</b><br>best step %{{x:,d}}<br>"
            f"{labels.plain(line.metric)} %{{y:.4~g}}<extra></extra>",
        }
    ]


def _behind(lines: Sequence[Line], plot: CurvesPlot) -> list[dict[str, Any]]:
    """All other trials in one trace a split, with NaN gaps: a thousand traces would zoom in seconds."""
    traces = []
    for dash in dict.fromkeys(DASHES[families.split(line.metric)[0]] for line in lines):
        members = [line for line in lines if DASHES[families.split(line.metric)[0]] == dash]
        steps = np.concatenate([np.append(line.steps.astype(float), np.nan) for line in members])
        values = np.concatenate([np.append(_drawable(line.values, plot), np.nan) for line in members])
        marked = np.concatenate([np.full(len(line.steps) + 1, line.trial.id) for line in members])
        numbers = np.concatenate([np.full(len(line.steps) + 1, line.trial.number) for line in members])
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": labels.count(len({line.trial.id for line in members}), "other trial"),
                "x": typed(steps),
                "y": typed(compact(values)),
                "customdata": typed(np.column_stack([marked, numbers])),
                "line": {"color": theme.color("other"), "width": 1, "dash": dash},
                "opacity": 0.6,
                "hovertemplate": "<b>Trial %{customdata[1]}</b><br>%{y:.4~g}<br>step %{x:,d}<extra></extra>",
            }
        )
    return traces


def _drawable(values: NDArray[np.float64], plot: CurvesPlot) -> NDArray[np.float64]:
    """Values as the axis can show them: infinity, and what a log axis cannot hold, become gaps."""
    shown = np.isfinite(values)
    if plot.log_values:
        with np.errstate(invalid="ignore"):
            shown &= values > 0
    return np.where(shown, values, np.nan)


def _value_title(plot: CurvesPlot) -> str:
    arrow = ""
    if any(line.metric == plot.objective.metric for line in plot.lines):
        arrow = " ↓ better" if plot.objective.direction == "minimize" else " ↑ better"
    title = labels.plain(plot.title, limit=labels.AXIS_LETTERS)
    return f"{title}{' (log)' if plot.log_values else ''}{arrow}"


def _notes(plot: CurvesPlot) -> tuple[str, ...]:
    sentences = []
    splits = {families.split(line.metric)[0] for line in plot.lines}
    if {"train", "valid"} <= splits:
        sentences.append("Solid: validation, dotted: train.")
    if any(line.best is not None for line in plot.lines):
        sentences.append("◆ best step.")
    if any(line.smooth is not None for line in plot.lines):
        sentences.append("Raw under smoothed.")
    if plot.limits:
        sentences.append("Value axis clipped: the worst 2 % of the points lie outside.")
    if plot.nonfinite_points:
        sentences.append(f"{labels.count(plot.nonfinite_points, 'point')} NaN or infinite, shown as gaps.")
    return tuple(sentences)

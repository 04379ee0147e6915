"""The rungs of a scheduler: what trials had where they were judged, and who went on from there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.figures import labels, marks, theme
from tunebook_server.figures.figure import Figure, compact, typed

NEEDED_TRIALS = 2
TRIALS_MOST = 1_000


@dataclass(frozen=True, slots=True)
class RungsPlot:
    """One row a trial at a rung, by trial and step; `values` are objectives, infinite where not finite.

    `trials`: of all trials that were judged; `shown` of them are here.
    """

    objective: Objective
    ids: NDArray[np.int64]
    numbers: NDArray[np.int64]
    steps: NDArray[np.float64]
    values: NDArray[np.float64]
    stopped: NDArray[np.bool_]
    trials: int
    shown: int
    counts: tuple[tuple[float, int, int], ...]
    """Of every rung: its step, how many trials were judged there, how many went on."""


def compute(
    objective: Objective,
    *,
    ids: NDArray[np.int64],
    numbers: NDArray[np.int64],
    steps: NDArray[np.int64],
    losses: NDArray[np.float64],
    stopped: NDArray[np.bool_],
) -> RungsPlot:
    """The newest `TRIALS_MOST` trials are drawn; all of them are counted."""
    rungs = np.unique(steps)
    counts = [
        (float(rung), int((steps == rung).sum()), int(((steps == rung) & ~stopped).sum())) for rung in rungs
    ]
    judged = np.unique(numbers)
    shown = numbers >= (judged[-TRIALS_MOST] if len(judged) > TRIALS_MOST else 0)
    order = np.lexsort((steps[shown], numbers[shown]))
    return RungsPlot(
        objective,
        ids=ids[shown][order],
        numbers=numbers[shown][order],
        steps=steps[shown][order].astype(np.float64),
        values=objective.sign * losses[shown][order],
        stopped=stopped[shown][order],
        trials=len(judged),
        shown=min(len(judged), TRIALS_MOST),
        counts=tuple(counts),
    )


def draw(plot: RungsPlot) -> Figure:
    finite = plot.values[np.isfinite(plot.values)]
    log = marks.takes_log(finite)
    limits = marks.padded(finite, log=log)
    layout = theme.layout(
        xaxis=_step_axis(plot),
        yaxis=theme.axis(
            labels.objective_title(plot.objective, log=log),
            type="log" if log else "linear",
            **({"range": list(limits)} if limits else {}),
        ),
    )
    if plot.trials < NEEDED_TRIALS:
        return marks.wanted(layout, plot.trials, NEEDED_TRIALS, "judged trial")
    layout["annotations"] = [_count(*each) for each in plot.counts]
    layout["margin"]["t"] += theme.TITLE_LINE_PIXELS
    groups = (
        ("goes on", ~plot.stopped, {"symbol": "circle", "color": theme.color("feasible"), "size": 6}),
        ("stopped", plot.stopped, {"symbol": "circle-open", "color": theme.color("series-2"), "size": 6}),
    )
    traces = [_marks(plot, name, mask, marker) for name, mask, marker in groups if mask.any()]
    return Figure([_paths(plot), *traces], layout, _notes(plot))


def _step_axis(plot: RungsPlot) -> dict[str, Any]:
    """Rungs are geometric, or many: their steps stand below them as far as there is room."""
    title = f"rung, step (log) · {labels.count(plot.trials, 'trial')}"
    steps = [step for step, _, _ in plot.counts if step > 0]
    ticks = {"tickvals": steps, "ticktext": [labels.significant(step, 3) for step in steps]}
    few = len(steps) <= 8
    return theme.axis(title, type="log", showgrid=False, **(ticks if few else {}))


def _paths(plot: RungsPlot) -> dict[str, Any]:
    """One trace: a NaN after each trial breaks the line."""
    ends = np.flatnonzero(np.diff(plot.numbers)) + 1
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "a trial",
        "x": typed(compact(np.insert(plot.steps, ends, np.nan))),
        "y": typed(compact(np.insert(_drawable(plot.values), ends, np.nan))),
        "line": {"color": theme.color("other"), "width": 1},
        "opacity": 0.5,
        "hoverinfo": "skip",
    }


def _marks(plot: RungsPlot, name: str, mask: NDArray[np.bool_], marker: dict[str, Any]) -> dict[str, Any]:
    metric = labels.plain(plot.objective.metric)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": typed(compact(plot.steps[mask])),
        "y": typed(compact(_drawable(plot.values[mask]))),
        "customdata": typed(np.column_stack([plot.ids[mask], plot.numbers[mask]])),
        "marker": {**marker, "opacity": 0.8},
        "hovertemplate": (
            f"<b>Trial %{{customdata[1]}}</b> {name} at step %{{x:,d}}<br>{metric} %{{y:.4g}}<extra></extra>"
        ),
    }


def _drawable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)


def _count(step: float, judged: int, went_on: int) -> dict[str, Any]:
    return {
        "x": float(np.log10(step)) if step > 0 else 0.0,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "text": f"{went_on:,} of {judged:,}",
        "showarrow": False,
        "font": {"size": 11, "color": theme.color("muted")},
    }


def _notes(plot: RungsPlot) -> tuple[str, ...]:
    notes = ["Above each rung: how many of those judged there went on."]
    if plot.shown < plot.trials:
        notes.append(f"The newest {plot.shown:,} of {plot.trials:,} trials drawn.")
    lost = int((~np.isfinite(plot.values)).sum())
    if lost:
        notes.append(f"{labels.count(lost, 'value')} that were not finite are not drawn.")
    return tuple(notes)

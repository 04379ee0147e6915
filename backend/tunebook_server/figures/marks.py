"""The marks of trials, the same in every figure: circle, red cross at the top edge, star, hollow circle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns, divergence_limit
from tunebook_server.figures import labels, sample, theme
from tunebook_server.figures.figure import Figure, compact, typed

SHOWN_TRIALS = 1_500  # of any number: SVG marks beyond it cost a second and add no shape
SHOWN_INFEASIBLE = 300
CROWDED_FROM = 300
TOP_TRIALS = 3
LARGEST = 8e307  # of an axis: Plotly subtracts its ends
STRIP = 0.06  # share of the height for infeasible trials, above the objective's axis


@dataclass(frozen=True, slots=True)
class Points:
    """Trials of one role at their places; `y` is NaN for trials on the top edge."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    ids: NDArray[np.int64]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Marks:
    """Trials by role, thinned to what a figure shows, with the counts before thinning."""

    feasible: Points
    infeasible: Points
    top: Points
    running: Points
    trials: int
    shown: int
    divergent: int
    objective_limits: tuple[float, float] | None
    """The range of the objective axis; None without a feasible trial."""
    log: bool
    clipped: bool

    @property
    def crowded(self) -> bool:
        return self.shown > CROWDED_FROM


def place(
    columns: TrialColumns,
    x: NDArray[np.float64],
    objective: Objective,
    *,
    clip: bool = True,
    scale: str = "auto",
) -> Marks:
    """Sort trials with a finite `x` by role and bound them: all top, infeasible, then a sample by density.

    A divergent trial is drawn as infeasible while `clip` holds, at its value otherwise. `scale` of the
    objective axis: linear, log, or auto (log when all values are positive and 90 % span a factor of 20).
    """
    here = np.isfinite(x)
    divergent = columns.divergent(objective) & here
    feasible = columns.feasible & here & ~(divergent & clip)
    infeasible = (columns.infeasible & here) | (divergent & clip)
    running = columns.running & here
    values = columns.objective[feasible]
    log = takes_log(np.concatenate([values, columns.objective[running]]), scale)
    top = _top(columns, feasible, objective)
    rest = feasible & ~top
    y = np.where(infeasible, np.nan, columns.objective)
    infeasible_shown = _thin(infeasible, x, np.zeros_like(x), columns.ids, SHOWN_INFEASIBLE)
    budget = SHOWN_TRIALS - int(infeasible_shown.sum()) - int(top.sum())
    density = np.log(y) if log else y
    rest_shown = _thin(rest, x, density, columns.ids, budget)
    running_shown = _thin(running, x, density, columns.ids, SHOWN_TRIALS // 3)
    shown = (rest_shown, infeasible_shown, top, running_shown)
    feasible_points, infeasible_points, top_points, running_points = (
        Points(x[mask], y[mask], columns.ids[mask], columns.numbers[mask]) for mask in shown
    )
    return Marks(
        feasible=feasible_points,
        infeasible=infeasible_points,
        top=top_points,
        running=running_points,
        trials=int((feasible | infeasible | running).sum()),
        shown=int(sum(mask.sum() for mask in shown)),
        divergent=int(divergent.sum()),
        objective_limits=_limits(values, columns.objective[running], objective, log=log),
        log=log,
        clipped=clip and bool(divergent.any()),
    )


def traces(
    marks: Marks, x_name: str, objective: Objective, text: Sequence[Sequence[str]] | None = None
) -> list[dict[str, Any]]:
    """One trace a role; `text` replaces the number of x on hover (rows as in `groups`)."""
    metric, name = labels.plain(objective.metric), labels.plain(x_name)
    drawn = []
    for place, (role, title, points) in enumerate(groups(marks)):
        value = "infeasible" if role == "infeasible" else f"{metric} %{{y:.4~g}}"
        at = "%{text}" if text else "%{x:.4~g}"
        hover = f"<b>Trial %{{customdata[1]}}</b><br>{name} {at}<br>{value}<extra></extra>"
        trace = {**_trace(role, points, crowded=marks.crowded), "name": title, "hovertemplate": hover}
        if text:
            trace["text"] = list(text[place])
        if len(points):
            drawn.append(trace)
    return drawn


def groups(marks: Marks) -> tuple[tuple[str, str, Points], ...]:
    """(role, words of the legend, points) in drawing order."""
    return (
        ("feasible", "feasible", marks.feasible),
        ("infeasible", "infeasible", marks.infeasible),
        ("top", f"best {len(marks.top)}", marks.top),
        ("running", "running", marks.running),
    )


def axes(marks: Marks, objective: Objective) -> dict[str, Any]:
    """The objective axis, and above it the strip of the infeasible when there are any; where nothing else
    is, Plotly draws no objective axis, and the strip's takes its place."""
    strip = len(marks.infeasible) > 0
    alone = strip and marks.objective_limits is None
    main = theme.axis(
        labels.objective_title(objective, log=marks.log),
        type="log" if marks.log else "linear",
        domain=[0, 1 - STRIP if strip else 1],
    )
    if marks.objective_limits:
        main["range"] = list(marks.objective_limits)
    if not strip:
        return {"yaxis": main}
    edge = {
        "domain": [0 if alone else 1 - STRIP, 1],
        "range": [1 - 2 / STRIP if alone else -1, 1],
        "fixedrange": True,
        "anchor": "x",
        "visible": False,
    }
    return {"yaxis": main, "yaxis2": edge}


def notes(marks: Marks) -> tuple[str, ...]:
    sentences = []
    if len(marks.infeasible) and marks.objective_limits is None:
        sentences.append("No trial has a feasible result yet: all that ended are infeasible.")
    if marks.shown < marks.trials:
        sentences.append(
            f"{marks.shown:,} of {marks.trials:,} trials shown: the best, infeasible ones, "
            "and a sample of the rest by density; zoom in for more."
        )
    if marks.clipped:
        sentences.append(
            f"Objective axis clipped: {labels.count(marks.divergent, 'trial')} diverged (more than 5 robust "
            "deviations worse than the median), drawn on the top edge."
        )
    return tuple(sentences)


def takes_log(values: NDArray[np.float64], scale: str = "auto") -> bool:
    """Whether an objective axis is logarithmic: auto says so of positive values of which 90 % span a factor
    of 20."""
    if scale == "linear" or not len(values) or values.min() <= 0:
        return False
    if scale == "log":
        return True
    low, high = np.quantile(values, [0.05, 0.95])
    return bool(high > 20 * low)


def padded(values: NDArray[np.float64], *, log: bool) -> tuple[float, float] | None:
    """The range of an axis that shows all values, in powers of ten on a log axis; None without any."""
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if log:
        low, high = float(np.log10(low)), float(np.log10(high))
    return around(low, high, share=0.06)


def around(low: float, high: float, *, share: float) -> tuple[float, float]:
    """The range of an axis from `low` to `high`, wider by a share of it at both ends."""
    pad = 2 * share * (high / 2 - low / 2) or 0.05 * abs(high) or 1.0
    return max(low - pad, -LARGEST), min(high + pad, LARGEST)


def wanted(layout: dict[str, Any], have: int, need: int, noun: str = "finished trial") -> Figure:
    """An empty figure that says how many more are wanted."""
    note = {
        "text": f"{labels.count(need - have, f'more {noun}')} wanted ({have} of {need})",
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
        "showarrow": False,
        "font": {"color": theme.color("muted"), "size": 13},
    }
    bare = {"showticklabels": False, "showgrid": False, "ticks": ""}
    sides = {"yaxis": {**layout["yaxis"], **bare}}
    if "range" not in layout["xaxis"]:  # Plotly's own means nothing
        sides["xaxis"] = {**layout["xaxis"], **bare}
    return Figure([], {**layout, **sides, "annotations": [note]})


def _trace(role: str, points: Points, *, crowded: bool) -> dict[str, Any]:
    on_edge = role == "infeasible"
    y = np.zeros(len(points), dtype=np.int8) if on_edge else compact(points.y)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": typed(compact(points.x)),
        "y": typed(y),
        "yaxis": "y2" if on_edge else "y",
        "customdata": typed(np.column_stack([points.ids, points.numbers])),
        "marker": theme.marker(role, crowded=crowded),
    }


def _top(columns: TrialColumns, feasible: NDArray[np.bool_], objective: Objective) -> NDArray[np.bool_]:
    """The best three, the earlier number first where values tie."""
    places = np.flatnonzero(feasible)
    losses = objective.sign * columns.objective[places]
    mask = np.zeros(len(columns), dtype=bool)
    mask[places[np.argsort(losses, kind="stable")[:TOP_TRIALS]]] = True
    return mask


def _thin(
    mask: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64], ids: NDArray[np.int64], keep: int
) -> NDArray[np.bool_]:
    places = np.flatnonzero(mask)
    chosen = np.zeros(len(mask), dtype=bool)
    chosen[places[sample.thin(x[places], y[places], ids[places], keep=keep)]] = True
    return chosen


def _limits(
    feasible: NDArray[np.float64], running: NDArray[np.float64], objective: Objective, *, log: bool
) -> tuple[float, float] | None:
    """Around the feasible values, and the running ones as far as those have not diverged."""
    worst = divergence_limit(objective.sign * feasible)
    near = running if worst is None else running[objective.sign * running <= worst]
    return padded(np.concatenate([feasible, near]), log=log)

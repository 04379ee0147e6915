"""The best-of-k box plot: budget against best result (Deep Learning Tuning Playbook, "Determining the number
of trials for each study", third figure)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.best_of_k import quantiles, sizes
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.figures import labels, theme
from tunebook_server.figures.figure import Figure, typed
from tunebook_server.figures.marks import around, wanted

NEEDED_TRIALS = 10  # feasible ones: the best of fewer is told by the history
FIRST_SIZE = 6  # as in the playbook's figure
FIRST_SIZE_FROM = 20  # trials; with fewer the boxes begin at 1
BOXES_MOST = 25  # beside a figure 460 pixels wide
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
BOX_SHARE = 0.6  # of the narrowest gap between boxes
TICKS_SPAN = 200  # of budgets: above it labels for 2 and 5 would not fit
LOG_SPAN = 20  # of the boxes: above it the objective axis is logarithmic


@dataclass(frozen=True, slots=True)
class BestOfKPlot:
    """`boxes`: for every size the 5, 25, 50, 75 and 95 % quantiles of the objective, lowest first: shape
    (5, sizes)."""

    objective: Objective
    sizes: NDArray[np.int64]
    boxes: NDArray[np.float64]
    best: float
    feasible: int
    infeasible: int
    log_sizes: bool
    log_objective: bool


def compute(columns: TrialColumns, objective: Objective, *, objective_scale: str = "auto") -> BestOfKPlot:
    """Infeasible and divergent trials take part, as bad as the worst of the others. `objective_scale`:
    linear, log, or auto (log where the boxes are positive and span a factor of 20)."""
    divergent = columns.divergent(objective)
    losses = objective.sign * columns.objective[columns.feasible & ~divergent]
    infeasible = int((columns.infeasible | divergent).sum())
    trials = len(losses) + infeasible
    if len(losses) < NEEDED_TRIALS:
        none = np.empty(0, dtype=np.int64)
        return BestOfKPlot(objective, none, np.empty((5, 0)), np.nan, len(losses), infeasible, False, False)
    every = np.concatenate([losses, np.full(infeasible, losses.max())])
    budgets = sizes(FIRST_SIZE if trials >= FIRST_SIZE_FROM else 1, trials, most=BOXES_MOST)
    boxes = np.sort(objective.sign * quantiles(every, budgets, LEVELS), axis=0)
    return BestOfKPlot(
        objective,
        budgets,
        boxes,
        float(objective.sign * losses.min()),
        len(losses),
        infeasible,
        log_sizes=bool(np.any(np.diff(budgets) > 1)),
        log_objective=takes_log(boxes, objective_scale),
    )


def draw(plot: BestOfKPlot) -> Figure:
    layout = theme.layout(xaxis=_size_axis(plot), yaxis=_objective_axis(plot), shapes=[])
    if plot.feasible < NEEDED_TRIALS:
        return wanted(layout, plot.feasible, NEEDED_TRIALS, "feasible trial")
    best = {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": typed(plot.sizes[[0, -1]]),
        "y": [plot.best, plot.best],
        "line": {"color": theme.color("best"), "width": 1.5, "dash": "dot"},
        "hoverinfo": "skip",
    }
    return Figure([_boxes(plot), best], layout, _notes(plot))


def _boxes(plot: BestOfKPlot) -> dict[str, Any]:
    low, first, middle, third, high = (typed(row.astype(np.float64)) for row in plot.boxes)
    return {
        "type": "box",
        "name": "best of k trials",
        "x": typed(plot.sizes),
        "lowerfence": low,
        "q1": first,
        "median": middle,
        "q3": third,
        "upperfence": high,
        "width": _width(plot),
        "whiskerwidth": 0.5,
        "line": {"color": theme.color("feasible"), "width": 1.2},
        "hoverinfo": "x+y",
    }


def _width(plot: BestOfKPlot) -> float:
    """In units of the axis: trials, or decades of them on a logarithmic one."""
    places = np.log10(plot.sizes) if plot.log_sizes else plot.sizes
    return float(BOX_SHARE * np.diff(places).min())


def _size_axis(plot: BestOfKPlot) -> dict[str, Any]:
    trials = labels.count(plot.feasible + plot.infeasible, "trial")
    if not len(plot.sizes):
        return theme.axis(f"trials in a study · {trials}")
    if not plot.log_sizes:
        limits = padded(plot.sizes.astype(float))
        span = float(np.ptp(plot.sizes))
        return theme.counting(f"trials in a study · {trials}", span=span, range=limits)
    ticks = round_numbers(int(plot.sizes[0]), int(plot.sizes[-1]))
    return theme.axis(
        f"trials in a study (log) · {trials}",
        type="log",
        range=padded(np.log10(plot.sizes)),
        tickvals=ticks,
        ticktext=[f"{tick:,}" for tick in ticks],
        hoverformat=",d",
    )


def round_numbers(low: int, high: int) -> list[int]:
    """1, 2, 5, 10 … within the limits, or powers of ten where those are far apart."""
    digits = (1, 2, 5) if high <= TICKS_SPAN * low else (1,)
    numbers = (digit * 10**decade for decade in range(len(str(high))) for digit in digits)
    return [number for number in numbers if low <= number <= high]


def _objective_axis(plot: BestOfKPlot) -> dict[str, Any]:
    title = f"best {labels.objective_title(plot.objective, log=plot.log_objective)}"
    kind = "log" if plot.log_objective else "linear"
    axis = theme.axis(title, type=kind, hoverformat=".4~g")
    if not plot.boxes.size:
        return axis
    shown = np.append(plot.boxes[[0, -1]], plot.best)
    return {**axis, "range": padded(np.log10(shown) if plot.log_objective else shown, share=0.06)}


def padded(values: NDArray[np.float64], *, share: float = 0.03) -> list[float]:
    """The range of an axis that shows all values."""
    return list(around(float(values.min()), float(values.max()), share=share))


def takes_log(boxes: NDArray[np.float64], scale: str) -> bool:
    """Whether the objective axis is logarithmic."""
    if scale == "linear" or boxes.min() <= 0:
        return False
    return scale == "log" or bool(boxes.max() > LOG_SPAN * boxes.min())


def _notes(plot: BestOfKPlot) -> tuple[str, ...]:
    trials = plot.feasible + plot.infeasible
    sentences = [
        f"Boxes: median and quartiles of the best of k trials drawn, with replacement, from the {trials:,} "
        "ended ones; whiskers: 5 % and 95 %."
    ]
    if plot.infeasible:
        counted = (
            "1 infeasible trial counts"
            if plot.infeasible == 1
            else f"{plot.infeasible:,} infeasible trials count"
        )
        sentences.append(f"{counted} as the worst of the others.")
    if plot.log_sizes:
        sentences.append(f"{len(plot.sizes)} budgets of up to {trials:,} trials shown, at equal ratios.")
    return tuple(sentences)

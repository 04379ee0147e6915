"""The optimisation history: objective against trial number, with the best so far."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.figures import labels, marks, theme
from tunebook_server.figures.figure import Figure, compact, typed
from tunebook_server.figures.marks import Marks

NEEDED_TRIALS = 2


@dataclass(frozen=True, slots=True)
class HistoryPlot:
    """`best_numbers` and `best_values` hold the improvements only, closed by the newest trial."""

    objective: Objective
    marks: Marks
    best_numbers: NDArray[np.int64]
    best_values: NDArray[np.float64]


def compute(
    columns: TrialColumns, objective: Objective, *, clip: bool = True, objective_scale: str = "auto"
) -> HistoryPlot:
    placed = marks.place(columns, columns.numbers.astype(float), objective, clip=clip, scale=objective_scale)
    feasible = columns.feasible
    numbers, values = columns.numbers[feasible], columns.objective[feasible]
    losses = objective.sign * values
    improved = np.flatnonzero(np.diff(np.minimum.accumulate(losses), prepend=np.inf) < 0)
    best_numbers, best_values = numbers[improved], values[improved]
    if len(best_numbers):
        shown = columns.numbers[feasible | columns.infeasible | columns.running]
        best_numbers = np.append(best_numbers, shown[-1])
        best_values = np.append(best_values, best_values[-1])
    return HistoryPlot(objective, placed, best_numbers, best_values)


def draw(plot: HistoryPlot) -> Figure:
    shown = plot.marks
    title = f"trial number · {labels.count(shown.trials, 'trial')}"
    low, high = _range(plot)
    axis = theme.counting(title, span=high - low, range=[low, high])
    layout = theme.layout(legend=theme.MARKS_LEGEND, xaxis=axis, **marks.axes(shown, plot.objective))
    if shown.trials < NEEDED_TRIALS:
        return marks.wanted(layout, shown.trials, NEEDED_TRIALS)
    best = {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": typed(plot.best_numbers),
        "y": typed(compact(plot.best_values)),
        "line": {"color": theme.color("best"), "width": 1.5, "shape": "hv"},
        "hoverinfo": "skip",
    }
    lines = [best] if len(plot.best_numbers) else []
    return Figure([*lines, *marks.traces(shown, "number", plot.objective)], layout, marks.notes(shown))


def _range(plot: HistoryPlot) -> tuple[float, float]:
    """All numbers, with room for half a mark at both ends."""
    last = max(
        (int(points.numbers.max()) for _, _, points in marks.groups(plot.marks) if len(points)), default=1
    )
    pad = max(0.5, 0.02 * last)
    return -pad, last + pad

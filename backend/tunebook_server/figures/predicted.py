"""What a model makes of a study: each trial's loss against what the other trials predict of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.figures import labels, marks, theme
from tunebook_server.figures.figure import Figure, compact, typed

NEEDED_TRIALS = 8
LITTLE = 0.3
"""Of the variance: below it the model hardly knows more than the mean."""


@dataclass(frozen=True, slots=True)
class PredictedPlot:
    """Arrays of one length; `observed`, `mean` and `deviation` in units of the losses' spread."""

    objective: Objective
    ids: NDArray[np.int64]
    numbers: NDArray[np.int64]
    values: NDArray[np.float64]
    observed: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    explained: float
    trials: int
    """Of all that could have been taken."""


def draw(plot: PredictedPlot) -> Figure:
    shown = len(plot.ids)
    layout = theme.layout(
        xaxis=theme.axis(f"predicted from the others · {labels.count(shown, 'trial')}"),
        yaxis=theme.axis("observed, standardised ↓ better"),
        showlegend=False,
    )
    if shown < NEEDED_TRIALS:
        return marks.wanted(layout, shown, NEEDED_TRIALS, "trial with a value")
    ends = np.array([plot.observed.min(), plot.observed.max()])
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": typed(ends),
        "y": typed(ends),
        "line": {"color": theme.color("edge"), "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }
    return Figure([diagonal, _trials(plot)], layout, _notes(plot))


def _trials(plot: PredictedPlot) -> dict[str, Any]:
    metric = labels.plain(plot.objective.metric)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "trials",
        "x": typed(compact(plot.mean)),
        "y": typed(compact(plot.observed)),
        "error_x": {
            "type": "data",
            "array": typed(compact(2 * plot.deviation)),
            "color": theme.color("other"),
            "thickness": 1,
            "width": 0,
        },
        "customdata": typed(np.column_stack([plot.ids, plot.numbers])),
        "text": [labels.significant(float(value)) for value in plot.values],
        "marker": theme.marker("feasible", crowded=len(plot.ids) > marks.CROWDED_FROM),
        "hovertemplate": (
            f"<b>Trial %{{customdata[1]}}</b><br>{metric} %{{text}}"
            "<br>predicted %{x:.2f} ± %{error_x.array:.2f}, observed %{y:.2f}<extra></extra>"
        ),
    }


def _notes(plot: PredictedPlot) -> tuple[str, ...]:
    share = max(round(100 * plot.explained), 0)
    notes = [f"The model predicts {share} % of the variance from the other trials; bars: two deviations."]
    if plot.explained < LITTLE:
        notes.append("It hardly knows more than the mean: a sampler that learns has little to go by yet.")
    if len(plot.ids) < plot.trials:
        notes.append(f"The best and the newest {len(plot.ids):,} of {plot.trials:,} trials.")
    return tuple(notes)

"""Where in its training each trial was best: advice on the length of training (Deep Learning Tuning Playbook,
"Determining the number of steps for each training run")."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.figures import labels, marks, theme
from tunebook_server.figures.figure import Figure, typed

EARLY_SHARE = 0.10  # of the steps (playbook): best within them, training was longer than needed
LATE_SHARE = 0.25  # of the steps (playbook): best within them, training ended too soon
MOST_PERCENT = 50  # of the trials, rounded as in the figure: above it there is advice
BINS = 20
NEEDED_TRIALS = 5


@dataclass(frozen=True, slots=True)
class BestStepsPlot:
    """`counts` of `BINS` equal parts of a trial's steps; `early` and `late` are shares of the trials."""

    objective: Objective
    counts: NDArray[np.int64]
    trials: int
    early: float
    late: float
    without: int
    """Feasible trials whose steps are not known."""


def shares(columns: TrialColumns) -> NDArray[np.float64]:
    """The best step of each feasible trial as a share of its last one, NaN where they are not known."""
    known = columns.feasible & (columns.last_step > 0) & np.isfinite(columns.best_step)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, np.clip(columns.best_step / columns.last_step, 0, 1), np.nan)


def compute(columns: TrialColumns, objective: Objective) -> BestStepsPlot:
    share = shares(columns)
    found = share[np.isfinite(share)]
    # A best step on the border of two parts ends the earlier one: of 100 steps the 25th is in the first 25 %.
    place = np.clip(np.ceil(found * BINS - 1e-9).astype(np.int64) - 1, 0, BINS - 1)
    return BestStepsPlot(
        objective=objective,
        counts=np.bincount(place, minlength=BINS),
        trials=len(found),
        early=float((found <= EARLY_SHARE).mean()) if len(found) else 0.0,
        late=float((found > 1 - LATE_SHARE).mean()) if len(found) else 0.0,
        without=int(columns.feasible.sum()) - len(found),
    )


def draw(plot: BestStepsPlot) -> Figure:
    title = f"best step, share of the trial's steps · {labels.count(plot.trials, 'trial')}"
    layout = theme.layout(
        xaxis=theme.axis(title, range=[0, 1], tickformat=".0%", dtick=0.25, showgrid=False),
        yaxis=theme.axis("trials", rangemode="tozero", tickformat=",d"),
        bargap=0.08,
        showlegend=False,
    )
    if plot.trials < NEEDED_TRIALS:
        return marks.wanted(layout, plot.trials, NEEDED_TRIALS, "feasible trial")
    layout["shapes"] = [_region(0, EARLY_SHARE), _region(1 - LATE_SHARE, 1)]
    layout["annotations"] = [
        _share(0, "left", f"first {EARLY_SHARE:.0%}: {plot.early:.0%} of trials"),
        _share(1, "right", f"last {LATE_SHARE:.0%}: {plot.late:.0%} of trials"),
    ]
    return Figure([_bars(plot)], layout, _notes(plot))


def _bars(plot: BestStepsPlot) -> dict[str, Any]:
    last = np.arange(1, BINS + 1) / BINS
    spans = [f"{end - 1 / BINS:.0%} to {end:.0%}" for end in last]
    return {
        "type": "bar",
        "name": "trials",
        "x": typed(last - 0.5 / BINS),
        "y": typed(plot.counts),
        "width": 0.92 / BINS,
        "text": spans,
        "textposition": "none",
        "marker": {"color": theme.color("feasible"), "line": {"width": 0}},
        "hovertemplate": "%{y:,d} trials were best at<br>%{text} of their steps<extra></extra>",
    }


def _region(first: float, last: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "yref": "paper",
        "x0": first,
        "x1": last,
        "y0": 0,
        "y1": 1,
        "fillcolor": theme.color("grid"),
        "line": {"width": 0},
        "layer": "below",
    }


def _share(x: float, anchor: str, text: str) -> dict[str, Any]:
    return {
        "x": x,
        "xanchor": anchor,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "text": text,
        "showarrow": False,
        "font": {"size": 11, "color": theme.color("muted")},
    }


def _notes(plot: BestStepsPlot) -> tuple[str, ...]:
    sentences = []
    if plot.objective.evaluation == "last":
        sentences.append("This study counts the last evaluation of a trial: its best step is the last one.")
    elif round(100 * plot.late) > MOST_PERCENT:
        sentences.append("Most trials were best near their end: longer training would likely help.")
    elif round(100 * plot.early) > MOST_PERCENT:
        sentences.append("Most trials were best near their start: shorter training would likely do.")
    if plot.without:
        sentences.append(f"{labels.count(plot.without, 'trial')} without known steps left out.")
    return tuple(sentences)

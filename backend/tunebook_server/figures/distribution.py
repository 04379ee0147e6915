"""The empirical distribution of objectives: which share of the trials is as good as a value, or better."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.domain.value_groups import ValueGroups
from tunebook_server.figures import labels, marks, theme, value_names
from tunebook_server.figures.axis import Scale
from tunebook_server.figures.figure import Figure, typed

LINE_POINTS = 200
NEEDED_TRIALS = 3
MARKED_UP_TO = 40  # points of a line: then each trial has its mark
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PARTS = 4  # of a scientific range: each has a colour


@dataclass(frozen=True, slots=True)
class Line:
    """`share` of all ended trials of the value, infeasible ones included, that reach `values` or better."""

    name: str
    colour: int
    values: NDArray[np.float64]
    share: NDArray[np.float64]
    ids: NDArray[np.int64]
    numbers: NDArray[np.int64]
    trials: int
    infeasible: int


@dataclass(frozen=True, slots=True)
class DistributionPlot:
    objective: Objective
    by: str
    """The key by which lines are told apart; "" for one line of all trials."""
    noun: str
    """What a line is of: "value" or "study"."""
    lines: tuple[Line, ...]
    left_out: int
    """Values without a line: at most six have one."""
    trials: int
    limits: tuple[float, float] | None
    log: bool
    divergent: int


def compute(
    columns: TrialColumns,
    objective: Objective,
    *,
    groups: ValueGroups | None = None,
    scale: Scale | None = None,
    noun: str = "value",
    divergent: NDArray[np.bool_] | None = None,
    clip: bool = True,
    objective_scale: str = "auto",
) -> DistributionPlot:
    """A line of all trials, or one a group; `scale` names the groups. `divergent`: a flag a trial, where that
    is not to be judged among all of them."""
    feasible = columns.feasible
    member, names, own = np.zeros(len(columns), dtype=np.int64), ["all trials"], [0]
    if groups is not None and scale is not None:
        member, names = groups.member, value_names.names(scale, groups)
        own = value_names.coloured(groups, np.where(feasible, objective.sign * columns.objective, np.nan))
    lines = [
        _line(columns, member == place, objective, names[place], colour) for colour, place in enumerate(own)
    ]
    divergent = (columns.divergent(objective) if divergent is None else divergent) & clip
    values = columns.objective[feasible & ~divergent]
    log = marks.takes_log(values, objective_scale)
    return DistributionPlot(
        objective=objective,
        by=scale.key if scale else "",
        noun=noun,
        lines=tuple(lines),
        left_out=len(np.unique(member[feasible & (member >= 0)])) - sum(line.trials > 0 for line in lines),
        trials=int(feasible.sum()),
        limits=marks.padded(values, log=log),
        log=log,
        divergent=int(divergent.sum()),
    )


def draw(plot: DistributionPlot) -> Figure:
    title = f"{labels.objective_title(plot.objective, log=plot.log)} · {labels.count(plot.trials, 'trial')}"
    layout = theme.layout(
        xaxis=theme.axis(title, type="log" if plot.log else "linear"),
        yaxis=theme.axis("share as good or better", range=[0, 1.03], tickformat=".0%"),
        showlegend=len(plot.lines) > 1,
    )
    if plot.limits:
        layout["xaxis"]["range"] = list(plot.limits)
    if plot.trials < NEEDED_TRIALS:
        return marks.wanted(layout, plot.trials, NEEDED_TRIALS, "feasible trial")
    return Figure([_trace(plot, line) for line in plot.lines], layout, _notes(plot))


def _line(
    columns: TrialColumns, here: NDArray[np.bool_], objective: Objective, name: str, colour: int
) -> Line:
    places = np.flatnonzero(columns.feasible & here)
    losses = objective.sign * columns.objective[places]
    places = places[np.lexsort((columns.numbers[places], losses))]
    infeasible = int((columns.infeasible & here).sum())
    ranks = np.unique(np.linspace(0, len(places) - 1, LINE_POINTS).round().astype(np.int64))
    ranks = ranks if len(places) else ranks[:0]
    chosen = places[ranks]
    return Line(
        name=name,
        colour=colour,
        values=columns.objective[chosen],
        share=(ranks + 1) / max(len(places) + infeasible, 1),
        ids=columns.ids[chosen],
        numbers=columns.numbers[chosen],
        trials=len(places),
        infeasible=infeasible,
    )


def _trace(plot: DistributionPlot, line: Line) -> dict[str, Any]:
    name = labels.plain(line.name, limit=24)
    metric = labels.plain(plot.objective.metric)
    marked = len(line.values) <= MARKED_UP_TO
    return {
        "type": "scatter",
        "mode": "lines+markers" if marked else "lines",
        "name": f"{name} ({line.trials:,})",
        "x": typed(line.values),
        "y": typed(line.share),
        "customdata": typed(np.column_stack([line.ids, line.numbers])),
        "line": {
            "color": theme.series(line.colour),
            "width": 2,
            "dash": DASHES[line.colour],
            "shape": "hv",
        },
        "marker": {"symbol": value_names.SYMBOLS[line.colour], "size": theme.MARKER_PIXELS},
        "hovertemplate": (
            f"<b>Trial %{{customdata[1]}}</b><br>{name}<br>{metric} %{{x:.4~g}}<br>"
            "%{y:.0%} as good or better<extra></extra>"
        ),
    }


def _notes(plot: DistributionPlot) -> tuple[str, ...]:
    sentences = []
    if plot.by:
        name, conditions = labels.key_words(plot.by)
        sentences.append(f"By {', '.join([labels.short(name), *map(labels.short, conditions)])}.")
    if infeasible := sum(line.infeasible for line in plot.lines):
        sentences.append(
            f"{labels.count(infeasible, 'infeasible trial')} counted as worse than any value: "
            "lines end below 100 %."
        )
    if plot.left_out > 0:
        sentences.append(
            f"{labels.several(plot.left_out, f'more {plot.noun}')} without a line: those with the best "
            "trials shown."
        )
    if plot.divergent:
        sentences.append(
            f"Objective axis clipped: {labels.count(plot.divergent, 'trial')} diverged (more than 5 robust "
            "deviations worse than the median)."
        )
    return tuple(sentences)

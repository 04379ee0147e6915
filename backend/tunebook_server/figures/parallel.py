"""Parallel coordinates: each shown trial a line over the hyperparameters, the best drawn last.

Plotly's own kind draws by WebGL, which takes seconds where there is no GPU; here the lines are SVG, one trace
a band of the objective, with NaN gaps between trials and where a conditional hyperparameter has no value.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import Integer, Searched, SearchSpace
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.figures import labels, marks, sample, theme, ticks
from tunebook_server.figures.axis import GOLDEN, Scale, scale_of
from tunebook_server.figures.figure import Figure, compact, typed

MOST_AXES = 11  # beside the objective's
SHOWN_VERTICES = 1_500
SHOWN_TRIALS = 150
NEEDED_TRIALS = 3
BANDS = ((0.1, "best 10 %"), (0.5, "better half"), (1.0, "worse half"))
BAND_SHARES = (0.35, 0.3, 0.2)  # of the lines; infeasible trials have the rest
TICK = 0.03  # half the dash by which a line crosses an axis: a value between two gaps is seen, too
NAMED_CHOICES = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """`ticks`: (place in [0, 1], label)."""

    title: str
    conditions: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Band:
    """Trials of one band: `places` of shape (trials, axes), in [0, 1] from low to high, NaN for no value."""

    name: str
    role: str
    places: NDArray[np.float64]
    objective: NDArray[np.float64]
    ids: NDArray[np.int64]
    numbers: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ParallelPlot:
    objective: Objective
    axes: tuple[Axis, ...]
    bands: tuple[Band, ...]
    """In drawing order: the best last."""
    trials: int
    shown: int
    hidden_axes: int
    divergent: int


def compute(
    columns: TrialColumns,
    space: SearchSpace,
    objective: Objective,
    *,
    clip: bool = True,
    objective_scale: str = "auto",
) -> ParallelPlot:
    """The scientific hyperparameters first, then the others in order; at most eleven, and the objective."""
    varied = sorted(space.varied, key=lambda parameter: parameter.role != "scientific")
    scales = [scale_of(space.key(each), each) for each in varied[:MOST_AXES]]
    divergent = columns.divergent(objective) & clip
    feasible, infeasible = columns.feasible & ~divergent, columns.infeasible | divergent
    values = columns.objective[feasible]
    log = marks.takes_log(values, objective_scale)
    limits = marks.padded(values, log=log) or (0.0, 1.0)
    lines = min(SHOWN_TRIALS, SHOWN_VERTICES // (len(scales) + 1))
    bands = []
    for name, role, rows in _bands(columns, feasible, infeasible, objective, lines):
        shown = np.where(feasible[rows], columns.objective[rows], np.nan)
        height = (np.log10(shown) if log else shown) - limits[0]
        places = [_places(scale, columns.values[scale.key][rows], columns.numbers[rows]) for scale in scales]
        band = np.column_stack([*places, height / (limits[1] - limits[0])])
        bands.append(
            Band(name, role, band, columns.objective[rows], columns.ids[rows], columns.numbers[rows])
        )
    title = _title(objective.metric, log=log)
    last = Axis(title, (labels.better(objective),), ticks.between(*limits, log=log))
    return ParallelPlot(
        objective=objective,
        axes=(*(_axis(*pair) for pair in zip(scales, varied, strict=False)), last),
        bands=tuple(bands),
        trials=int((feasible | infeasible).sum()),
        shown=sum(len(band.ids) for band in bands),
        hidden_axes=max(len(varied) - MOST_AXES, 0),
        divergent=int(divergent.sum()),
    )


def draw(plot: ParallelPlot) -> Figure:
    count = len(plot.axes)
    quiet = {"showgrid": False, "ticks": "", "showline": False, "fixedrange": True}
    layout = theme.layout(
        xaxis={**theme.axis("", range=[-0.4, count - 0.4], **quiet), **_titles(plot.axes)},
        yaxis=theme.axis("", range=[-0.04, 1.04], showticklabels=False, **quiet),
        shapes=[_upright(place) for place in range(count)],
        annotations=[note for place, axis in enumerate(plot.axes) for note in _words(place, axis)],
    )
    layout["margin"] = {"l": 12, "r": 12, "t": 40, "b": 52}
    if plot.trials < NEEDED_TRIALS:
        return marks.wanted({**layout, "shapes": []}, plot.trials, NEEDED_TRIALS)
    return Figure([_trace(plot, band) for band in plot.bands if len(band.ids)], layout, _notes(plot))


def _bands(
    columns: TrialColumns,
    feasible: NDArray[np.bool_],
    infeasible: NDArray[np.bool_],
    objective: Objective,
    lines: int,
) -> list[tuple[str, str, NDArray[np.intp]]]:
    """(name, role, rows) of infeasible, worse and better half, best 10 %, best three, thinned to `lines`."""
    rows = np.flatnonzero(feasible)
    rows = rows[np.lexsort((columns.numbers[rows], objective.sign * columns.objective[rows]))]
    top = min(marks.TOP_TRIALS, len(rows))
    budgets = [int(share * (lines - top)) for share in BAND_SHARES]
    bands = [(f"best {top}", "top", rows[:top])]
    first = top
    for (share, name), role, keep in zip(BANDS, ("best", "feasible", "other"), budgets, strict=True):
        last = max(int(np.ceil(share * len(rows))), first)
        part = rows[first:last]
        bands.append((name, role, part[sample.some(columns.ids[part], keep=keep)]))
        first = last
    failed = np.flatnonzero(infeasible)
    kept = failed[sample.some(columns.ids[failed], keep=lines - top - sum(budgets))]
    return [("infeasible", "infeasible", kept), *reversed(bands)]


def _places(scale: Scale, values: NDArray[np.float64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """In [0, 1] on the hyperparameter's own scale; equal choices are spread, values beyond the range cut."""
    if scale.kind == "choice":
        spread = 0.6 * ((numbers * GOLDEN) % 1.0 - 0.5)
        return np.asarray((values + 0.5 + spread) / len(scale.names))
    low, high, x = scale.low, scale.high, values
    if scale.kind == "log":
        low, high, x = np.log(low), np.log(high), np.log(np.where(values > 0, values, np.nan))
    return np.clip((x - low) / ((high - low) or 1.0), 0, 1)


def _axis(scale: Scale, parameter: Searched) -> Axis:
    name, conditions = labels.key_words(scale.key)
    title = _title(name, log=scale.kind == "log")
    if scale.kind == "choice":
        count = len(scale.names)
        every = [((place + 0.5) / count, name) for place, name in enumerate(scale.names)]
        shown = every if count <= NAMED_CHOICES else [every[0], every[-1]]
        found = tuple((place, labels.plain(name, limit=12)) for place, name in shown)
    else:
        log, whole = scale.kind == "log", isinstance(parameter, Integer)
        low, high = (math.log10(end) if log else end for end in (scale.low, scale.high))
        found = ticks.between(low, high, log=log, whole=whole, ends=True)
    return Axis(title, tuple(labels.plain(each, limit=18) for each in conditions), found)


def _title(name: str, *, log: bool) -> str:
    return f"{labels.plain(name, limit=16)}{' (log)' if log else ''}"


def _upright(place: int) -> dict[str, Any]:
    line = {"color": theme.color("edge"), "width": 1}
    ends = {"x0": place, "x1": place, "y0": 0, "y1": 1}
    return {"type": "line", "xref": "x", "yref": "y", **ends, "line": line, "layer": "below"}


def _titles(axes: tuple[Axis, ...]) -> dict[str, Any]:
    """Under each axis; they turn to fit where there are many, or little room."""
    return {
        "tickvals": list(range(len(axes))),
        "ticktext": ["<br>".join([axis.title, *axis.conditions]) for axis in axes],
        "tickfont": {"size": 11, "color": theme.color("text")},
        "ticklabeloverflow": "allow",
        "automargin": True,
    }


def _words(place: int, axis: Axis) -> list[dict[str, Any]]:
    """The ticks beside an axis."""
    return [
        {
            "x": place,
            "y": y,
            "xanchor": "left",
            "xshift": 3,
            "text": text,
            "showarrow": False,
            "font": {"size": 10, "color": theme.color("muted")},
            "bgcolor": theme.color("ground"),  # the lines pass behind it
            "borderpad": 0,
        }
        for y, text in axis.ticks
    ]


def _trace(plot: ParallelPlot, band: Band) -> dict[str, Any]:
    """A line crosses each axis by a short dash; a NaN parts it from the next trial's."""
    trials, axes = band.places.shape
    width = 2 * axes + 1
    x = np.append((np.arange(axes)[:, None] + [-TICK, TICK]).ravel(), np.nan)
    y = np.full((trials, width), np.nan)
    y[:, :-1] = np.repeat(band.places, 2, axis=1)
    marked = np.repeat(np.column_stack([band.ids, band.numbers]), width, axis=0)
    values = [labels.significant(float(value)) for value in band.objective]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{band.name} ({trials:,})",
        "x": typed(compact(np.tile(x, trials))),
        "y": typed(compact(y.ravel())),
        "customdata": typed(marked),
        "text": [value for value in values for _ in range(width)],
        "connectgaps": False,
        "line": _line(band.role),
        "opacity": {"infeasible": 0.45, "other": 0.55, "feasible": 0.45}.get(band.role, 0.9),
        "hovertemplate": (
            f"<b>Trial %{{customdata[1]}}</b><br>{labels.plain(plot.objective.metric)} %{{text}}"
            "<extra></extra>"
        ),
    }


def _line(role: str) -> dict[str, Any]:
    if role == "top":
        return {"color": theme.color("top"), "width": 2.5}
    if role == "best":
        return {"color": theme.series(0), "width": 1.5}
    if role == "infeasible":
        return {"color": theme.color("infeasible"), "width": 1, "dash": "dot"}
    return {"color": theme.color("feasible" if role == "feasible" else "other"), "width": 1}


def _notes(plot: ParallelPlot) -> tuple[str, ...]:
    sentences = []
    if plot.shown < plot.trials:
        sentences.append(
            f"{plot.shown:,} of {plot.trials:,} trials shown: the best, and a share of every band of the "
            "objective."
        )
    if plot.hidden_axes:
        sentences.append(f"{labels.count(plot.hidden_axes, 'more hyperparameter')} not shown.")
    if plot.divergent:
        sentences.append(f"{labels.count(plot.divergent, 'trial')} diverged, drawn as infeasible.")
    return tuple(sentences)

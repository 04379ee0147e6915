"""The hyperparameter axis plot: objective against one hyperparameter on its own scale (Deep Learning Tuning
Playbook, "Identifying bad search space boundaries")."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import Float, Hyperparameter, Integer
from tunebook_server.domain.trial_columns import TrialColumns, choices
from tunebook_server.figures import labels, marks, theme
from tunebook_server.figures.figure import Figure
from tunebook_server.figures.marks import Marks

NEEDED_TRIALS = 3
GOLDEN = 0.6180339887498949  # spreads neighbours in number far apart
JITTER_BELOW_VALUES = 33


@dataclass(frozen=True, slots=True)
class Scale:
    """The hyperparameter's own axis; of a choice the places 0, 1, 2 … with their names."""

    key: str
    kind: Literal["linear", "log", "choice"]
    low: float
    high: float
    names: tuple[str, ...] = ()
    jitter: float = 0.0
    """Half the width by which equal values are spread, so that they can be told apart."""


@dataclass(frozen=True, slots=True)
class AxisPlot:
    scale: Scale
    objective: Objective
    marks: Marks
    seen: tuple[float, float] | None
    """Lowest and highest value of any trial: those added by hand may lie outside the search space."""


def scale_of(key: str, parameter: Hyperparameter) -> Scale:
    if isinstance(parameter, Float | Integer):
        few = isinstance(parameter, Integer) and parameter.high - parameter.low < JITTER_BELOW_VALUES
        jitter = 0.25 if few and parameter.scale == "linear" else 0.0
        return Scale(key, parameter.scale, float(parameter.low), float(parameter.high), jitter=jitter)
    names = tuple(
        str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in choices(parameter)
    )
    return Scale(key, "choice", 0.0, float(len(names) - 1), names, jitter=0.3)


def compute(
    columns: TrialColumns,
    scale: Scale,
    objective: Objective,
    *,
    clip: bool = True,
    objective_scale: str = "auto",
    first: float | None = None,
    last: float | None = None,
) -> AxisPlot:
    """Trials that have this hyperparameter, within [first, last] on its axis where they are given."""
    x = columns.values[scale.key]
    if scale.kind == "log":
        x = np.where(x > 0, x, np.nan)
    seen = (float(np.nanmin(x)), float(np.nanmax(x))) if np.isfinite(x).any() else None
    x = x + scale.jitter * (2 * ((columns.numbers * GOLDEN) % 1.0) - 1) if scale.jitter else x
    if first is not None and last is not None:
        with np.errstate(invalid="ignore"):
            x = np.where((x >= first) & (x <= last), x, np.nan)
    return AxisPlot(
        scale, objective, marks.place(columns, x, objective, clip=clip, scale=objective_scale), seen
    )


def draw(plot: AxisPlot) -> Figure:
    shown, scale, layout = plot.marks, plot.scale, layout_of(plot)
    if shown.trials < NEEDED_TRIALS:
        return marks.wanted(layout, shown.trials, NEEDED_TRIALS)
    name = labels.key_words(scale.key)[0]
    text = _texts(scale, shown) if scale.jitter else None
    return Figure(marks.traces(shown, name, plot.objective, text), layout, marks.notes(shown))


def layout_of(plot: AxisPlot) -> dict[str, Any]:
    layout = theme.layout(
        legend=theme.MARKS_LEGEND,
        xaxis=span(plot.scale, plot.seen, plot.marks.trials),
        **marks.axes(plot.marks, plot.objective),
        shapes=edges(plot.scale),
    )
    layout["yaxis"]["hoverformat"] = ".6~g"
    layout["margin"]["b"] += theme.TITLE_LINE_PIXELS * layout["xaxis"]["title"]["text"].count("<br>")
    return layout


def title(scale: Scale, trials: int) -> str:
    """`weight_decay (log) · 48 trials`; the condition of a conditional one stands on a line of its own."""
    name, conditions = labels.key_words(scale.key)
    shown = f"{labels.plain(name)} (log)" if scale.kind == "log" else labels.plain(name)
    line = " · ".join([*(labels.plain(condition) for condition in conditions), labels.count(trials, "trial")])
    return f"{shown}<br>{line}" if conditions else f"{shown} · {line}"


def span(scale: Scale, seen: tuple[float, float] | None, trials: int) -> dict[str, Any]:
    """The axis of a hyperparameter, over its range and all values `seen`."""
    axis = theme.axis(title(scale, trials))
    if scale.kind == "choice":
        return {
            **axis,
            "tickvals": list(range(len(scale.names))),
            "ticktext": [labels.plain(name, limit=18) for name in scale.names],
            "range": [-0.5, len(scale.names) - 0.5],
            "automargin": True,  # names of choices may turn to fit
        }
    low, high = scale.low, scale.high
    if seen:
        low, high = min(low, seen[0]), max(high, seen[1])
    if scale.kind == "log":
        low, high = float(np.log10(low)), float(np.log10(high))
    pad = max(0.04 * (high - low), scale.jitter * 1.3) or 1.0
    return {**axis, "type": scale.kind, "range": [low - pad, high + pad]}


def edges(scale: Scale) -> list[dict[str, Any]]:
    """The search space's own borders, drawn as lines; choices have none."""
    if scale.kind == "choice":
        return []
    line = {"color": theme.color("edge"), "width": 1, "dash": "dot"}
    return [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": edge,
            "x1": edge,
            "y0": 0,
            "y1": 1,
            "line": line,
            "layer": "below",
        }
        for edge in (scale.low, scale.high)
    ]


def _texts(scale: Scale, shown: Marks) -> list[list[str]]:
    """What a spread mark stands for: its choice, or its integer."""
    return [_names(scale, points.x) for _, _, points in marks.groups(shown)]


def _names(scale: Scale, x: NDArray[np.float64]) -> list[str]:
    places = [int(place) for place in np.rint(x)]
    return [labels.plain(scale.names[place], limit=24) if scale.names else str(place) for place in places]

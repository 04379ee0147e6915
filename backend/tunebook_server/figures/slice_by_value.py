"""Slice: objective against one numeric hyperparameter, coloured by the value of the scientific one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import Hyperparameter
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.domain.value_groups import group
from tunebook_server.figures import axis, labels, marks, theme, value_names
from tunebook_server.figures.axis import AxisPlot, Scale
from tunebook_server.figures.figure import Figure, compact, typed
from tunebook_server.figures.marks import Points

PARTS = 4  # of a scientific range: each has a colour


@dataclass(frozen=True, slots=True)
class Layer:
    """The shown trials of one value; `colour` counts from 0, None for the values without one of their own."""

    name: str
    colour: int | None
    points: Points
    trials: int
    """Feasible ones of this value in the study's slice, before thinning."""


@dataclass(frozen=True, slots=True)
class SlicePlot:
    axis: AxisPlot
    by: str
    layers: tuple[Layer, ...]


def compute(
    columns: TrialColumns,
    scale: Scale,
    objective: Objective,
    *,
    by: Hyperparameter,
    by_scale: Scale,
    clip: bool = True,
    objective_scale: str = "auto",
    first: float | None = None,
    last: float | None = None,
) -> SlicePlot:
    """Six values at most have a layer of their own, those with the best trials; one layer holds the rest."""
    placed = axis.compute(
        columns, scale, objective, clip=clip, objective_scale=objective_scale, first=first, last=last
    )
    groups = group(by, columns.values[by_scale.key], parts=PARTS)
    feasible = columns.feasible & np.isfinite(columns.values[scale.key])
    own = value_names.coloured(groups, np.where(feasible, objective.sign * columns.objective, np.nan))
    shown = _joined(placed.marks.feasible, placed.marks.top)
    member = groups.member[_rows(columns, shown.ids)]
    names = value_names.names(by_scale, groups)
    layers = [
        Layer(
            names[place],
            colour,
            _where(shown, member == place),
            int((feasible & (groups.member == place)).sum()),
        )
        for colour, place in enumerate(own)
    ]
    if (rest := ~np.isin(member, own)).any():
        others = int((feasible & ~np.isin(groups.member, own)).sum())
        layers.append(Layer("other values", None, _where(shown, rest), others))
    return SlicePlot(placed, by_scale.key, tuple(layer for layer in layers if len(layer.points)))


def draw(plot: SlicePlot) -> Figure:
    shown = plot.axis.marks
    layout = axis.layout_of(plot.axis)
    if shown.trials < axis.NEEDED_TRIALS:
        return marks.wanted(layout, shown.trials, axis.NEEDED_TRIALS)
    # The rest lies behind the values that have a colour.
    layers = sorted(plot.layers, key=lambda layer: layer.colour is not None)
    name, conditions = labels.key_words(plot.by)
    by = ", ".join([labels.short(name), *map(labels.short, conditions)])
    data = [
        *(_trace(plot, layer) for layer in layers),
        *(
            trace
            for trace in marks.traces(shown, labels.key_words(plot.axis.scale.key)[0], plot.axis.objective)
            if trace["name"] in ("infeasible", "running")
        ),
    ]
    return Figure(data, layout, (f"Coloured by {by}{_why_one(plot)}.", *marks.notes(shown)))


def _why_one(plot: SlicePlot) -> str:
    """A hyperparameter that exists for one value of `by` has one colour."""
    parameter, conditions = labels.key_words(plot.axis.scale.key)
    name = labels.key_words(plot.by)[0]
    own = [labels.short(each) for each in conditions if each.startswith(f"{name}=")]
    return f": {labels.short(parameter)} exists for {own[0]} alone" if own and len(plot.layers) == 1 else ""


def _trace(plot: SlicePlot, layer: Layer) -> dict[str, Any]:
    own = layer.colour is not None
    name = labels.plain(layer.name, limit=24)
    metric = labels.plain(plot.axis.objective.metric)
    parameter = labels.plain(labels.key_words(plot.axis.scale.key)[0])
    x = np.rint(layer.points.x) if plot.axis.scale.jitter else layer.points.x
    crowded = plot.axis.marks.crowded
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{name} ({layer.trials:,})",
        "x": typed(compact(layer.points.x)),
        "y": typed(compact(layer.points.y)),
        "customdata": typed(np.column_stack([layer.points.ids, layer.points.numbers])),
        "text": [labels.significant(float(value)) for value in x],
        "marker": {
            "symbol": value_names.SYMBOLS[layer.colour or 0] if own else "circle-open",
            "size": (theme.MARKER_CROWDED_PIXELS if crowded else theme.MARKER_PIXELS) + 1,
            "color": theme.series(layer.colour or 0) if own else theme.color("other"),
            "opacity": 0.65 if crowded else 0.8,
        },
        "hovertemplate": (
            f"<b>Trial %{{customdata[1]}}</b><br>{name}<br>{parameter} %{{text}}<br>{metric} %{{y:.4~g}}"
            "<extra></extra>"
        ),
    }


def _joined(left: Points, right: Points) -> Points:
    pairs = [(getattr(left, name), getattr(right, name)) for name in ("x", "y", "ids", "numbers")]
    return Points(*(np.concatenate(pair) for pair in pairs))


def _where(points: Points, mask: NDArray[np.bool_]) -> Points:
    return Points(points.x[mask], points.y[mask], points.ids[mask], points.numbers[mask])


def _rows(columns: TrialColumns, ids: NDArray[np.int64]) -> NDArray[np.intp]:
    order = np.argsort(columns.ids)
    return order[np.searchsorted(columns.ids, ids, sorter=order)]

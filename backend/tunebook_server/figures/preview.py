"""What a search space would sample: one strip a hyperparameter, a dot for each configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration
from tunebook_server.domain.trial_columns import columns_by_key
from tunebook_server.figures import labels, theme
from tunebook_server.figures.axis import Scale, scale_of
from tunebook_server.figures.figure import Figure, typed

STRIP_PIXELS = 44
# Of Roberts' R2 sequence: together they fill a square without lines or clumps.
ASIDE, UPWARDS = 0.7548776662466927, 0.5698402909980532


@dataclass(frozen=True, slots=True)
class Strip:
    """Sampled values of one hyperparameter, as shares of its range on its own scale."""

    scale: Scale
    places: NDArray[np.float64]
    values: NDArray[np.float64]
    spread: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PreviewPlot:
    configurations: int
    strips: tuple[Strip, ...]


def compute(space: SearchSpace, configurations: Sequence[Configuration]) -> PreviewPlot:
    columns = columns_by_key(space, configurations)
    strips = [
        _strip(scale_of(space.key(parameter), parameter), columns[space.key(parameter)])
        for parameter in space.varied
    ]
    return PreviewPlot(len(configurations), tuple(strips))


def draw(plot: PreviewPlot) -> Figure:
    strips = list(reversed(plot.strips))  # the first hyperparameter on top
    annotations = [note for row, strip in enumerate(strips) for note in _ends(row, strip)]
    layout = theme.layout(
        xaxis=theme.axis(
            "",
            range=[-0.02, 1.02],
            showticklabels=False,
            ticks="",
            showgrid=False,
            showline=False,
            fixedrange=True,
        ),
        yaxis=theme.axis(
            "",
            range=[-0.6, len(strips) - 0.4],
            tickvals=list(range(len(strips))),
            ticktext=[_title(strip, plot.configurations) for strip in strips],
            ticks="",
            showgrid=False,
            showline=False,
            fixedrange=True,
            automargin=True,
        ),
        showlegend=False,
        annotations=annotations,
        margin={"l": 8, "r": 12, "t": 8, "b": 8},
        height=STRIP_PIXELS * max(len(strips), 2) + 16,
    )
    return Figure([_trace(row, strip) for row, strip in enumerate(strips) if len(strip.places)], layout)


def _strip(scale: Scale, column: NDArray[np.float64]) -> Strip:
    here = np.flatnonzero(np.isfinite(column))
    values = column[here]
    aside, spread = _scatter(here, ASIDE), _scatter(here, UPWARDS)
    if scale.kind == "choice":
        return Strip(scale, (values + 0.5 + 0.6 * aside) / len(scale.names), values, spread)
    low, high, shown = scale.low, scale.high, values
    if scale.kind == "log":
        low, high, shown = np.log(low), np.log(high), np.log(values)
    places = (shown + scale.jitter * aside - low) / (high - low)
    return Strip(scale, np.clip(places, 0, 1), values, spread)


def _scatter(numbers: NDArray[np.intp], ratio: float) -> NDArray[np.float64]:
    """From -0.5 to 0.5, evenly, neighbours far apart."""
    return np.asarray((numbers * ratio) % 1.0 - 0.5, dtype=np.float64)


def _title(strip: Strip, configurations: int) -> str:
    name, conditions = labels.key_words(strip.scale.key)
    log = " (log)" if strip.scale.kind == "log" else ""
    active = len(strip.places)
    where = " · ".join(labels.plain(condition, limit=30) for condition in conditions)
    share = f"{active} of {configurations}"
    second = f"<br>{where} · {share}" if where else ""
    return f"{labels.plain(name, limit=26)}{log}{second}"


def _ends(row: int, strip: Strip) -> list[dict[str, Any]]:
    """The borders of the range, or the names of the choices, under the strip."""
    scale = strip.scale
    if scale.kind == "choice":
        count = len(scale.names)
        ends = [
            ((place + 0.5) / count, labels.plain(name, limit=14), "center")
            for place, name in enumerate(scale.names)
        ]
        ends = ends if count <= 8 else [ends[0], ends[-1]]
    else:
        ends = [(0.0, labels.significant(scale.low), "left"), (1.0, labels.significant(scale.high), "right")]
    font = {"size": 10, "color": theme.color("muted")}
    return [
        {
            "x": x,
            "y": row - 0.28,
            "text": text,
            "xanchor": anchor,
            "yanchor": "top",
            "showarrow": False,
            "font": font,
        }
        for x, text, anchor in ends
    ]


def _trace(row: int, strip: Strip) -> dict[str, Any]:
    names = strip.scale.names
    text = [
        labels.plain(names[int(value)], limit=24) if names else labels.significant(float(value))
        for value in strip.values
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": typed(strip.places.astype(np.float32)),
        "y": typed((row + 0.4 * strip.spread).astype(np.float32)),
        "text": text,
        "marker": {**theme.marker("feasible"), "size": theme.MARKER_CROWDED_PIXELS},
        "hovertemplate": "%{text}<extra></extra>",
    }

"""What a job uses of its host, over the time of one attempt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.curve import Curve
from tunebook_server.domain.system_metrics import Panel
from tunebook_server.figures import labels, marks, theme
from tunebook_server.figures.figure import Figure, compact, typed

UNITS = ((3 * 86_400.0, 86_400.0, "days"), (3 * 3_600.0, 3_600.0, "hours"), (180.0, 60.0, "minutes"))
LINES_MOST = 16  # GPUs of a large host
FROM_ZERO = ("%", "B", "B/s", "W", "")


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    seconds: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SystemPlot:
    panel: Panel
    epoch: int
    lines: tuple[Line, ...]
    decimated: bool


def compute(curves: Sequence[Curve], panel: Panel, *, epoch: int) -> SystemPlot:
    """Steps are seconds since the start of the attempt."""
    named = [(panel.label(curve.metric), curve) for curve in curves]
    lines = [
        Line(label, curve.steps.astype(float), np.where(np.isfinite(curve.values), curve.values, np.nan))
        for label, curve in named
        if label is not None
    ]
    order = [label for _, label in panel.lines]
    lines.sort(key=lambda line: (order.index(line.label) if line.label in order else -1, len(line.label)))
    return SystemPlot(panel, epoch, tuple(lines[:LINES_MOST]), any(curve.decimated for _, curve in named))


def draw(plot: SystemPlot) -> Figure:
    last = max((float(line.seconds[-1]) for line in plot.lines if len(line.seconds)), default=0.0)
    size, word = next(((size, word) for above, size, word in UNITS if last >= above), (1.0, "seconds"))
    unit = plot.panel.unit
    layout = theme.layout(
        xaxis=theme.axis(f"{word} since the start of attempt {plot.epoch}", rangemode="tozero"),
        yaxis=theme.axis(
            "",
            rangemode="tozero" if unit in FROM_ZERO else "normal",
            tickformat="~s" if unit in ("B", "B/s", "") else "~g",
            ticksuffix=f" {unit}" if unit not in ("B", "B/s") else unit,
        ),
        showlegend=len(plot.lines) > 1,
    )
    if not any(len(line.values) for line in plot.lines):
        return marks.wanted(layout, 0, 1, "sample")
    data = [
        {
            "type": "scatter",
            "mode": "lines" if len(line.values) > 1 else "markers",
            "name": labels.plain(line.label),
            "x": typed(line.seconds / size),
            "y": typed(compact(line.values)),
            "line": {"color": theme.series(place), "width": 1.5},
            "hovertemplate": f"%{{y}}<br>after %{{x:.3~g}} {word}<extra>{labels.plain(line.label)}</extra>",
        }
        for place, line in enumerate(plot.lines)
    ]
    return Figure(data, layout)

"""The gradient norm of a trial: against step, and as a histogram with the threshold that would clip it.

Deep Learning Tuning Playbook, "How can optimization failures be debugged and mitigated?": clip at the 90th
percentile of the norms; where that clips more than half of the steps, lower the learning rate instead.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.curve import Curve
from tunebook_server.domain.decimate import decimate
from tunebook_server.figures import labels, theme
from tunebook_server.figures.figure import Figure, typed
from tunebook_server.figures.marks import wanted

PERCENTILE = 90
CLIPS_MOST = 0.5
NEEDED_POINTS = 10
SHOWN_POINTS = 1_500
BINS_MOST = 60
CLIP_QUANTILE = 0.995  # of the norms: a spike in the first steps does not flatten the rest
LOG_FROM_FACTOR = 20


@dataclass(frozen=True, slots=True)
class GradientNorm:
    """`clipped`: share of steps that `threshold` clips, the one asked for or the 90th percentile."""

    metric: str
    number: int
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    total: int
    nonfinite: int
    percentile: float
    threshold: float
    asked: bool
    clipped: float


def compute(curve: Curve | None, *, threshold: float | None = None) -> GradientNorm | None:
    """None without a curve; NaN and infinity are counted, and clipped by any threshold."""
    if curve is None:
        return None
    finite = np.isfinite(curve.values)
    norms = curve.values[finite]
    percentile = float(np.quantile(norms, PERCENTILE / 100)) if len(norms) else float("nan")
    limit = percentile if threshold is None else threshold
    nonfinite = int((~finite).sum())
    over = (int((norms > limit).sum()) + nonfinite) / max(len(curve.values), 1)
    return GradientNorm(
        curve.metric,
        curve.number,
        curve.steps[finite],
        norms,
        curve.total_points,
        nonfinite,
        percentile,
        limit,
        threshold is not None,
        over,
    )


def draw_steps(norm: GradientNorm | None) -> Figure:
    if norm is None or len(norm.values) < NEEDED_POINTS:
        return _none(norm)
    log = _spans(norm.values)
    layout = theme.layout(
        xaxis=theme.axis(f"step of trial {norm.number} · {labels.count(norm.total, 'point')}"),
        yaxis=theme.axis(_title(norm, log), type="log" if log else "linear"),
        shapes=_lines(norm, "y", log=False),
        annotations=_words(norm, "y", log=log),
        showlegend=False,
    )
    top, clipped = _top(norm)
    if not log:
        layout["yaxis"]["range"] = [0, top]
    shown = decimate(norm.values, SHOWN_POINTS)
    trace = {
        "type": "scatter",
        "mode": "lines",
        "name": "gradient norm",
        "x": typed(norm.steps[shown]),
        "y": typed(norm.values[shown]),
        "line": {"color": theme.color("feasible"), "width": 1.25},
        "hovertemplate": "step %{x:,d}<br>%{y:.4~g}<extra></extra>",
    }
    return Figure([trace], layout, _notes(norm, clipped and not log))


def draw_histogram(norm: GradientNorm | None) -> Figure:
    if norm is None or len(norm.values) < NEEDED_POINTS:
        return _none(norm)
    log = _spans(norm.values)
    top, clipped = _top(norm)
    values = np.log10(norm.values) if log else np.minimum(norm.values, top)
    edges = np.histogram_bin_edges(values, bins=min(BINS_MOST, max(10, int(np.sqrt(len(values))))))
    counts, edges = np.histogram(values, edges)
    centres = (edges[:-1] + edges[1:]) / 2
    limit = np.log10(norm.threshold) if log and norm.threshold > 0 else norm.threshold
    over = centres > limit
    ends = 10**edges if log else edges
    layout = theme.layout(
        xaxis=theme.axis(f"{_title(norm, log)} · trial {norm.number}", **(_log_ticks(edges) if log else {})),
        yaxis=theme.axis(f"steps · {labels.count(norm.total, 'point')}"),
        shapes=_lines(norm, "x", log=log),
        annotations=_words(norm, "x", log=log),
        bargap=0.04,
        showlegend=False,
    )
    trace = {
        "type": "bar",
        "name": "gradient norm",
        "x": typed(centres),
        "y": typed(counts),
        "width": float(edges[1] - edges[0]) * 0.96,
        "marker": {"color": [theme.color("infeasible" if each else "feasible") for each in over]},
        "text": [
            f"{labels.significant(float(a), 3)} to {labels.significant(float(b), 3)}"
            for a, b in pairwise(ends)
        ],
        "textposition": "none",
        "hovertemplate": "%{text}<br>%{y:,d} points<extra></extra>",
    }
    return Figure([trace], layout, _notes(norm, clipped and not log))


def _none(norm: GradientNorm | None) -> Figure:
    layout = theme.layout(xaxis=theme.axis("step"), yaxis=theme.axis("gradient norm"), showlegend=False)
    have = 0 if norm is None else len(norm.values)
    noun = "point of a metric gradient_norm" if norm is None else "finite point"
    figure = wanted(layout, have, NEEDED_POINTS, noun)
    if norm is None:
        text = "This trial reports no gradient norm: report a metric named gradient_norm"
        note = {**figure.layout["annotations"][0], "text": text}
        return Figure([], {**figure.layout, "annotations": [note]})
    return figure


def _spans(values: NDArray[np.float64]) -> bool:
    if values.min() <= 0:
        return False
    low, high = np.quantile(values, [0.02, 0.98])
    return bool(high > LOG_FROM_FACTOR * low)


def _title(norm: GradientNorm, log: bool) -> str:
    name = labels.plain(norm.metric, limit=labels.AXIS_LETTERS)
    return f"{name}{' (log)' if log else ''}"


def _top(norm: GradientNorm) -> tuple[float, bool]:
    """The end of the axis of norms, and whether some lie beyond it."""
    cut, highest = float(np.quantile(norm.values, CLIP_QUANTILE)), float(norm.values.max())
    clipped = highest > 1.5 * cut > 0
    end = max(cut if clipped else highest, norm.threshold if norm.threshold < 2 * cut else 0.0)
    return (1.06 * end if end > 0 else 1.0), clipped


def _thresholds(norm: GradientNorm) -> list[tuple[float, str, str]]:
    """(value, colour's role, words), from the highest: the 90th percentile, and the threshold asked for."""
    lines = [(norm.percentile, "top", f"{PERCENTILE}th percentile {labels.significant(norm.percentile, 3)}")]
    if norm.asked:
        words = f"threshold {labels.significant(norm.threshold, 3)} clips {norm.clipped:.0%}"
        lines.append((norm.threshold, "infeasible", words))
    return sorted((line for line in lines if np.isfinite(line[0])), key=lambda line: -line[0])


def _lines(norm: GradientNorm, side: str, *, log: bool) -> list[dict[str, Any]]:
    other = "x" if side == "y" else "y"
    return [
        {
            "type": "line",
            f"{side}ref": side,
            f"{other}ref": "paper",
            f"{side}0": at,
            f"{side}1": at,
            f"{other}0": 0,
            f"{other}1": 1,
            "line": {"color": theme.color(role), "width": 1.5, "dash": "dash"},
        }
        for value, role, _ in _thresholds(norm)
        for at in [float(np.log10(value)) if log and value > 0 else value]
    ]


def _words(norm: GradientNorm, side: str, *, log: bool) -> list[dict[str, Any]]:
    """Beside the lines; on a log axis an annotation stands at the logarithm, unlike a shape."""
    other = "x" if side == "y" else "y"
    return [
        {
            f"{side}ref": side,
            f"{other}ref": "paper",
            side: float(np.log10(value)) if log and value > 0 else value,
            other: 1 - 0.08 * row if side == "x" else 1,
            "xanchor": "left" if side == "x" else "right",
            "yanchor": "top" if side == "x" else ("bottom" if row == 0 else "top"),
            "text": f" {words} ",
            "bgcolor": theme.color("ground"),
            "opacity": 0.9,
            "showarrow": False,
            "font": {"size": 11, "color": theme.color(role)},
        }
        for row, (value, role, words) in enumerate(_thresholds(norm))
    ]


def _log_ticks(edges: NDArray[np.float64]) -> dict[str, Any]:
    """The histogram's bins are equal in the logarithm: its axis is linear, with the numbers written out."""
    decades = np.arange(np.floor(edges[0]), np.ceil(edges[-1]) + 1)
    steps = [(d + np.log10(m)) for d in decades for m in ((1, 2, 5) if len(decades) <= 4 else (1,))]
    return {
        "tickvals": [float(at) for at in steps],
        "ticktext": [labels.significant(10**at, 2) for at in steps],
    }


def _notes(norm: GradientNorm, clipped: bool) -> tuple[str, ...]:
    notes = []
    if norm.asked:
        advice = (
            f"Clipping at {labels.significant(norm.threshold, 3)} changes {norm.clipped:.0%} of the steps"
        )
        if norm.clipped > CLIPS_MOST:
            notes.append(f"{advice}, more than half: lower the learning rate instead.")
        else:
            notes.append(f"{advice}.")
    else:
        notes.append(
            f"A clipping threshold at the {PERCENTILE}th percentile, "
            f"{labels.significant(norm.percentile, 3)}, is a good first one."
        )
    if norm.nonfinite:
        notes.append(f"{labels.count(norm.nonfinite, 'point')} NaN or infinite, left out of the axis.")
    if len(norm.values) + norm.nonfinite < norm.total:
        notes.append(f"Computed from {len(norm.values):,} of {norm.total:,} points.")
    if clipped:
        notes.append("Axis clipped: the highest half percent lie beyond it.")
    return tuple(notes)

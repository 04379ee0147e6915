"""Two metrics against each other: which trials nothing beats in both, and how that front grew."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.pareto import front, hypervolumes
from tunebook_server.figures import labels, marks, theme
from tunebook_server.figures.figure import Figure, compact, typed

NEEDED_TRIALS = 3
TRIALS_MOST = 2_000
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ParetoPlot:
    """Trials with a finite value of both metrics, by number; `bounds`: those on the second metric."""

    first: Objective
    second: Objective
    ids: NDArray[np.int64]
    numbers: NDArray[np.int64]
    values: tuple[Array, Array]
    bounds: tuple[float, ...] = ()

    @property
    def losses(self) -> tuple[Array, Array]:
        return self.first.sign * self.values[0], self.second.sign * self.values[1]


def draw(plot: ParetoPlot) -> Figure:
    logs = [marks.takes_log(values) for values in plot.values]
    titles = [
        labels.objective_title(metric, log=log)
        for metric, log in zip((plot.first, plot.second), logs, strict=True)
    ]
    count = labels.count(len(plot.ids), "trial")
    layout = theme.layout(
        xaxis=theme.axis(f"{titles[1]} · {count}", type="log" if logs[1] else "linear"),
        yaxis=theme.axis(titles[0], type="log" if logs[0] else "linear"),
    )
    if len(plot.ids) < NEEDED_TRIALS:
        return marks.wanted(layout, len(plot.ids), NEEDED_TRIALS, "trial with both metrics")
    layout["shapes"] = [_bound(bound) for bound in plot.bounds]
    best = front(*plot.losses)
    others = np.setdiff1d(np.arange(len(plot.ids)), best)[-TRIALS_MOST:]
    shown = best[:TRIALS_MOST]
    traces = [_marks(plot, others, "feasible", "feasible")] if len(others) else []
    return Figure([*traces, _front(plot, shown)], layout, _notes(plot, best, others))


def draw_history(plot: ParetoPlot) -> Figure:
    """The area that the trials up to each one dominate, as a share of what all of them do in the end."""
    layout = theme.layout(
        xaxis=theme.counting(
            f"trial number · {labels.count(len(plot.ids), 'trial')}",
            span=float(np.ptp(plot.numbers)) if len(plot.ids) else 0.0,
        ),
        yaxis=theme.axis("hypervolume, share of the last", rangemode="tozero", tickformat=".0%"),
        showlegend=False,
    )
    if len(plot.ids) < NEEDED_TRIALS:
        return marks.wanted(layout, len(plot.ids), NEEDED_TRIALS, "trial with both metrics")
    shares = _shares(plot)
    changed = np.flatnonzero(np.diff(shares, prepend=-1.0) > 0)
    kept = np.append(changed, len(shares) - 1)
    trace = {
        "type": "scatter",
        "mode": "lines",
        "x": typed(plot.numbers[kept]),
        "y": typed(compact(shares[kept])),
        "line": {"color": theme.color("best"), "width": 1.5, "shape": "hv"},
        "hovertemplate": "up to trial %{x:,d}: %{y:.1%}<extra></extra>",
    }
    note = "Reference point: the worst value of each metric that any trial had."
    return Figure([trace], layout, (note,))


def _shares(plot: ParetoPlot) -> Array:
    """Each loss in units of its own spread, so that no size overflows."""
    first, second = (_scaled(losses) for losses in plot.losses)
    areas = hypervolumes(first, second, (1.0 + 1e-9, 1.0 + 1e-9))
    return areas / (float(areas[-1]) or 1.0)


def _scaled(losses: Array) -> Array:
    low, high = float(losses.min()), float(losses.max())
    half = high / 2 - low / 2
    return (losses / 2 - low / 2) / half if half > 0 else np.zeros(len(losses))


def _front(plot: ParetoPlot, places: NDArray[np.intp]) -> dict[str, Any]:
    trace = _marks(plot, places, "top", f"unbeaten {len(places)}")
    line = {"color": theme.color("top"), "width": 1, "shape": "hv"}
    return {**trace, "mode": "lines+markers", "line": line}


def _marks(plot: ParetoPlot, places: NDArray[np.intp], role: str, name: str) -> dict[str, Any]:
    first, second = (labels.plain(metric.metric) for metric in (plot.first, plot.second))
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": typed(compact(plot.values[1][places])),
        "y": typed(compact(plot.values[0][places])),
        "customdata": typed(np.column_stack([plot.ids[places], plot.numbers[places]])),
        "marker": theme.marker(role, crowded=len(plot.ids) > marks.CROWDED_FROM),
        "hovertemplate": (
            f"<b>Trial %{{customdata[1]}}</b><br>{first} %{{y:.4g}}<br>{second} %{{x:.4g}}<extra></extra>"
        ),
    }


def _bound(value: float) -> dict[str, Any]:
    line = {"color": theme.color("edge"), "width": 1, "dash": "dot"}
    return {"type": "line", "x0": value, "x1": value, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _notes(plot: ParetoPlot, best: NDArray[np.intp], others: NDArray[np.intp]) -> tuple[str, ...]:
    notes = [f"{labels.count(len(best), 'trial')} that nothing beats in both metrics: the Pareto front."]
    shown = len(best) + len(others)
    if shown < len(plot.ids):
        notes.append(f"{shown:,} of {len(plot.ids):,} trials shown: the front and the newest.")
    return tuple(notes)

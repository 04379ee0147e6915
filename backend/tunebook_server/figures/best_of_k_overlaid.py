"""The best of k trials of several studies in one picture: which finds better values for the same budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.figures import best_of_k, labels, theme, value_names
from tunebook_server.figures.best_of_k import NEEDED_TRIALS, BestOfKPlot
from tunebook_server.figures.distribution import DASHES
from tunebook_server.figures.figure import Figure, typed
from tunebook_server.figures.marks import wanted

BAND_OPACITY = 0.15
LEGEND_LETTERS = 24


@dataclass(frozen=True, slots=True)
class Overlay:
    """`plots`: of each study that has enough trials, by its name; at most six, those with the best trials."""

    objective: Objective
    plots: Sequence[tuple[str, BestOfKPlot]]
    few: Sequence[str]
    """Names of those with too few trials."""
    left_out: int
    matched: int
    """Trials up to which all of them can be compared."""
    log: bool


def compute(
    studies: Sequence[tuple[str, TrialColumns]], objective: Objective, *, objective_scale: str = "auto"
) -> Overlay:
    plots = [(name, best_of_k.compute(columns, objective)) for name, columns in studies]
    enough = [(name, plot) for name, plot in plots if len(plot.sizes)]
    ranked = sorted(enough, key=lambda pair: objective.sign * pair[1].best)[: value_names.COLOURED_VALUES]
    shown = [pair for pair in enough if pair in ranked]
    return Overlay(
        objective=objective,
        plots=shown,
        few=[name for name, plot in plots if not len(plot.sizes)],
        left_out=len(enough) - len(shown),
        matched=min((int(plot.sizes[-1]) for _, plot in shown), default=0),
        log=bool(shown)
        and best_of_k.takes_log(np.concatenate([plot.boxes for _, plot in shown], axis=1), objective_scale),
    )


def draw(overlay: Overlay) -> Figure:
    title = f"best {labels.objective_title(overlay.objective, log=overlay.log)}"
    value = theme.axis(title, type="log" if overlay.log else "linear", hoverformat=".4~g")
    layout = theme.layout(xaxis=_across(overlay), yaxis=value, shapes=_matched(overlay))
    if not overlay.plots:
        return wanted({**layout, "shapes": []}, 0, NEEDED_TRIALS, "feasible trial")
    traces = [
        trace
        for colour, (name, plot) in enumerate(overlay.plots)
        for trace in (_band(colour, plot), _median(colour, name, plot))
    ]
    return Figure(traces, layout, _notes(overlay))


def _across(overlay: Overlay) -> dict[str, Any]:
    if not overlay.plots:
        return theme.axis("trials in a study")
    sizes = np.concatenate([plot.sizes for _, plot in overlay.plots])
    ticks = best_of_k.round_numbers(int(sizes.min()), int(sizes.max()))
    return theme.axis(
        "trials in a study (log)",
        type="log",
        range=best_of_k.padded(np.log10(sizes)),
        tickvals=ticks,
        ticktext=[f"{tick:,}" for tick in ticks],
        hoverformat=",d",
    )


def _matched(overlay: Overlay) -> list[dict[str, Any]]:
    """Where the smallest study ends: beyond it there is nothing to compare with."""
    line = {"color": theme.color("edge"), "width": 1, "dash": "dot"}
    ends = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}
    return [{**ends, "x0": overlay.matched, "x1": overlay.matched}] if len(overlay.plots) > 1 else []


def _median(colour: int, name: str, plot: BestOfKPlot) -> dict[str, Any]:
    shown = labels.plain(name, limit=LEGEND_LETTERS)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": shown,
        "legendgroup": str(colour),
        "x": typed(plot.sizes),
        "y": typed(plot.boxes[2]),
        "line": {"color": theme.series(colour), "width": 2, "dash": DASHES[colour]},
        "hovertemplate": f"<b>{shown}</b><br>best of %{{x:,d}}: %{{y:.4~g}} (median)<extra></extra>",
    }


def _band(colour: int, plot: BestOfKPlot) -> dict[str, Any]:
    """Between the quartiles."""
    return {
        "type": "scatter",
        "mode": "lines",
        "legendgroup": str(colour),
        "showlegend": False,
        "x": typed(np.concatenate([plot.sizes, plot.sizes[::-1]])),
        "y": typed(np.concatenate([plot.boxes[1], plot.boxes[3][::-1]])),
        "fill": "toself",
        "fillcolor": theme.series(colour),
        "line": {"width": 0},
        "opacity": BAND_OPACITY,
        "hoverinfo": "skip",
    }


def _notes(overlay: Overlay) -> tuple[str, ...]:
    sentences = ["Lines: median of the best of k trials drawn, with replacement; bands: quartiles."]
    if len(overlay.plots) > 1:
        sentences.append(f"Compare up to {overlay.matched:,} trials (dotted), which all of them have.")
    if overlay.few:
        sentences.append(f"{labels.several(len(overlay.few), 'study')} with under {NEEDED_TRIALS} left out.")
    if overlay.left_out:
        sentences.append(f"{labels.several(overlay.left_out, 'more study')} without a line: the best shown.")
    return tuple(sentences)

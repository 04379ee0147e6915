"""The objective over two hyperparameters: a smoothed surface under the trials it is made from."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.surface import Side, interpolate
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.figures import labels, sample, theme
from tunebook_server.figures.axis import GOLDEN, Scale, title
from tunebook_server.figures.figure import Figure, compact, typed
from tunebook_server.figures.marks import (
    CROWDED_FROM,
    TOP_TRIALS,
    wanted,
)

NEEDED_TRIALS = 10  # fewer leave most of a plane empty
SHOWN_TRIALS = 500  # more would hide the surface
SHOWN_INFEASIBLE = 150
LEVELS = 10
CLIP_QUANTILE = 0.95  # of the surface: its worst corner does not take all of the colours
LOG_FROM_FACTOR = 20  # between the best and the worst values, 90 % of them


@dataclass(frozen=True, slots=True)
class ContourPlot:
    """`surface`: rows along y; of log10 of the objective where `log`. `roles`: places of its trials."""

    x: Scale
    y: Scale
    objective: Objective
    at: tuple[NDArray[np.float64], NDArray[np.float64]]
    ids: NDArray[np.int64]
    numbers: NDArray[np.int64]
    values: NDArray[np.float64]
    roles: dict[str, NDArray[np.intp]]
    trials: int
    divergent: int
    surface: NDArray[np.float64]
    limits: tuple[float, float]
    clipped: bool
    log: bool
    of_feasibility: bool = False
    """The surface is the share of trials nearby that are feasible."""


def compute(columns: TrialColumns, x: Scale, y: Scale, objective: Objective) -> ContourPlot:
    """Of the trials that have both hyperparameters."""
    units = _side(x, columns.values[x.key]), _side(y, columns.values[y.key])
    here = np.isfinite(units[0].units) & np.isfinite(units[1].units)
    divergent = columns.divergent(objective) & here
    feasible = columns.feasible & here & ~divergent
    infeasible = (columns.infeasible & here) | divergent
    values = np.where(feasible, columns.objective, np.nan)
    log = _log(values[feasible])
    with np.errstate(invalid="ignore"):
        height = np.log10(values) if log else values
    surface = interpolate(*units, height)
    first, last, clipped = _limits(surface, objective)
    best = np.flatnonzero(feasible)
    best = best[np.argsort(objective.sign * columns.objective[best], kind="stable")]
    at = _spread(columns, x, 0.0), _spread(columns, y, 0.5)
    rest, crosses = (
        _thin(places, units, columns.ids, keep)
        for places, keep in (
            (best[TOP_TRIALS:], SHOWN_TRIALS - SHOWN_INFEASIBLE - TOP_TRIALS),
            (np.flatnonzero(infeasible), SHOWN_INFEASIBLE),
        )
    )
    return ContourPlot(
        x,
        y,
        objective,
        at,
        columns.ids,
        columns.numbers,
        columns.objective,
        {"feasible": rest, "infeasible": crosses, "top": best[:TOP_TRIALS]},
        int((feasible | infeasible).sum()),
        int(divergent.sum()),
        surface,
        (first, last),
        clipped,
        log,
    )


def compute_feasibility(columns: TrialColumns, x: Scale, y: Scale, objective: Objective) -> ContourPlot:
    """Where trials that have both hyperparameters are infeasible, or diverge."""
    plot = compute(columns, x, y, objective)
    units = _side(x, columns.values[x.key]), _side(y, columns.values[y.key])
    divergent = columns.divergent(objective)
    fails = columns.infeasible | divergent
    surface = interpolate(*units, np.where(columns.feasible & ~divergent, 1.0, np.where(fails, 0.0, np.nan)))
    return replace(plot, surface=surface, limits=(0.0, 1.0), clipped=False, log=False, of_feasibility=True)


def draw(plot: ContourPlot) -> Figure:
    feasible = len(plot.roles["feasible"]) + len(plot.roles["top"])
    layout = theme.layout(
        legend=theme.MARKS_LEGEND,
        xaxis=_axis(plot.x, title(plot.x, plot.trials), plot.at[0]),
        yaxis=_axis(plot.y, _name(plot.y), plot.at[1]),
    )
    layout["margin"]["b"] += theme.TITLE_LINE_PIXELS * layout["xaxis"]["title"]["text"].count("<br>")
    layout["margin"]["l"] += 8 + theme.TITLE_LINE_PIXELS * layout["yaxis"]["title"]["text"].count("<br>")
    if plot.of_feasibility and not len(plot.roles["infeasible"]):
        return wanted(layout, 0, 1, "infeasible trial")
    have = plot.trials if plot.of_feasibility else feasible
    if have < NEEDED_TRIALS:
        return wanted(layout, have, NEEDED_TRIALS, "ended trial" if plot.of_feasibility else "feasible trial")
    shown = sum(map(len, plot.roles.values()))
    marked = [
        _marks(plot, role, crowded=shown > CROWDED_FROM) for role in plot.roles if len(plot.roles[role])
    ]
    return Figure([_surface(plot), *marked], layout, _notes(plot, shown))


def _surface(plot: ContourPlot) -> dict[str, Any]:
    """Contours between numbers, one rectangle a cell where a side is made of choices."""
    choices = "choice" in (plot.x.kind, plot.y.kind)
    first, last = plot.limits
    lower = plot.objective.direction == "minimize" and not plot.of_feasibility
    words = "feasible" if plot.of_feasibility else labels.objective_title(plot.objective, log=plot.log)
    ticks = np.linspace(first, last, 5)
    trace: dict[str, Any] = {
        "x": typed(_centres(plot.x, plot.surface.shape[1])),
        "y": typed(_centres(plot.y, plot.surface.shape[0])),
        "z": typed(compact(plot.surface)),
        "zmin": first,
        "zmax": last,
        "colorscale": theme.SURFACE if lower else [[1 - at, c] for at, c in reversed(theme.SURFACE)],
        "colorbar": {
            "title": {"text": words, "side": "right"},
            "thickness": 10,
            "outlinewidth": 0,
            "tickvals": ticks.tolist(),
            "ticktext": [labels.significant(10**at if plot.log else at, 3) for at in ticks],
            "tickfont": {"size": 10, "color": theme.color("muted")},
        },
        "opacity": theme.SURFACE_OPACITY,
        "hoverinfo": "skip",
        "name": "smoothed",
        "showlegend": False,
    }
    if choices:
        return {"type": "heatmap", **trace}
    step = (last - first) / LEVELS
    return {
        "type": "contour",
        **trace,
        "contours": {"start": first + step, "end": last - step / 2, "size": step, "coloring": "fill"},
        "line": {"width": 0.5, "color": theme.color("grid")},
        "connectgaps": False,
    }


def _marks(plot: ContourPlot, role: str, *, crowded: bool) -> dict[str, Any]:
    places = plot.roles[role]
    metric = labels.plain(plot.objective.metric)
    value = "infeasible" if role == "infeasible" else f"{metric} %{{text}}"
    at = _at(plot.x, "x") + _at(plot.y, "y")
    marker = theme.marker(role, crowded=crowded)
    if role == "feasible":
        marker = {**marker, "color": theme.color("text"), "size": theme.MARKER_CROWDED_PIXELS, "opacity": 0.6}
    names = {"feasible": "feasible", "infeasible": "infeasible", "top": f"best {len(places)}"}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": names[role],
        "x": typed(compact(plot.at[0][places])),
        "y": typed(compact(plot.at[1][places])),
        "customdata": typed(np.column_stack([plot.ids[places], plot.numbers[places]])),
        "text": [] if role == "infeasible" else [labels.significant(float(v)) for v in plot.values[places]],
        "marker": marker,
        "hovertemplate": f"<b>Trial %{{customdata[1]}}</b>{at}<br>{value}<extra></extra>",
    }


def _at(scale: Scale, letter: str) -> str:
    """What a hover writes of a place: the value, the integer that a spread mark stands for, or nothing beside
    the choice that the axis names."""
    if scale.kind == "choice":
        return ""
    name = labels.plain(labels.key_words(scale.key)[0])
    return f"<br>{name} %{{{letter}:{'.0f' if scale.jitter else '.4~g'}}}"


def _spread(columns: TrialColumns, scale: Scale, phase: float) -> NDArray[np.float64]:
    """Equal choices and integers aside of each other, differently on the two axes."""
    ratio = GOLDEN if phase == 0 else GOLDEN**2 / 2**0.5
    aside = scale.jitter * (2 * ((columns.numbers * ratio + phase) % 1.0) - 1)
    return np.asarray(columns.values[scale.key] + aside, dtype=np.float64)


def _side(scale: Scale, values: NDArray[np.float64]) -> Side:
    """Places in [0, 1] of the range; integers that are spread have half a step of room at both ends."""
    if scale.kind == "choice":
        return Side((values + 0.5) / len(scale.names), len(scale.names))
    low, high = _borders(scale)
    if scale.kind == "log":
        values = np.log(np.where(values > 0, values, np.nan))
    return Side((values - low) / (high - low))


def _borders(scale: Scale) -> tuple[float, float]:
    """Of the surface, in logarithms where the scale is."""
    if scale.kind == "log":
        return float(np.log(scale.low)), float(np.log(scale.high))
    room = 0.5 if scale.jitter else 0.0
    return scale.low - room, scale.high + room


def _centres(scale: Scale, cells: int) -> NDArray[np.float64]:
    if scale.kind == "choice":
        return np.arange(cells, dtype=np.float64)
    at = (np.arange(cells) + 0.5) / cells
    low, high = _borders(scale)
    centres = low + at * (high - low)
    return np.asarray(np.exp(centres) if scale.kind == "log" else centres, dtype=np.float64)


def _axis(scale: Scale, words: str, at: NDArray[np.float64]) -> dict[str, Any]:
    """Over the range, and over values beyond it that trials added by hand have."""
    axis = theme.axis(words, showgrid=False)
    if scale.kind == "choice":
        return {
            **axis,
            "tickvals": list(range(len(scale.names))),
            "ticktext": [labels.plain(name, limit=18) for name in scale.names],
            "range": [-0.5, len(scale.names) - 0.5],
            "automargin": True,
        }
    seen = at[np.isfinite(at) & ((at > 0) | (scale.kind != "log"))]
    low, high = float(seen.min(initial=scale.low)), float(seen.max(initial=scale.high))
    if scale.kind == "log":
        low, high = float(np.log10(low)), float(np.log10(high))
    pad = 0.5 if scale.jitter else 0.02 * (high - low)
    return {**axis, "type": scale.kind, "range": [low - pad, high + pad]}


def _name(scale: Scale) -> str:
    name, conditions = labels.key_words(scale.key)
    shown = f"{labels.plain(name)} (log)" if scale.kind == "log" else labels.plain(name)
    return "<br>".join([*(labels.plain(each, limit=30) for each in conditions), shown])


def _limits(surface: NDArray[np.float64], objective: Objective) -> tuple[float, float, bool]:
    """First and last value of the colours; a worst twentieth far beyond the rest shares the last one."""
    losses = objective.sign * surface[np.isfinite(surface)]
    if not len(losses):
        return 0.0, 1.0, False
    best, cut, worst = float(losses.min()), float(np.quantile(losses, CLIP_QUANTILE)), float(losses.max())
    clipped = worst - best > 1.5 * (cut - best) > 0
    end = cut if clipped else worst
    end = end if end > best else best + (abs(best) or 1.0) * 1e-6
    first, last = sorted((objective.sign * best, objective.sign * end))
    return first, last, clipped


def _log(values: NDArray[np.float64]) -> bool:
    if not len(values) or values.min() <= 0:
        return False
    low, high = np.quantile(values, [0.05, 0.95])
    return bool(high > LOG_FROM_FACTOR * low)


def _thin(
    places: NDArray[np.intp], units: tuple[Side, Side], ids: NDArray[np.int64], keep: int
) -> NDArray[np.intp]:
    x, y = (side.units[places] for side in units)
    return places[sample.thin(x, y, ids[places], keep=keep)]


def _notes(plot: ContourPlot, shown: int) -> tuple[str, ...]:
    what = "share of feasible trials" if plot.of_feasibility else "weighted mean of the trials"
    notes = [f"Colours: a {what} nearby; no colour where there are none."]
    if shown < plot.trials:
        notes.append(
            f"{shown:,} of {plot.trials:,} trials shown: the best, infeasible ones, and a sample of the rest."
        )
    if plot.clipped:
        notes.append("Colours clipped: the worst 5 % of the surface share the last one.")
    if plot.divergent:
        notes.append(f"{labels.count(plot.divergent, 'trial')} diverged and are drawn as infeasible.")
    return tuple(notes)

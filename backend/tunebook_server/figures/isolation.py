"""The isolation plot: per scientific value, or per study, the best trial over the nuisance hyperparameters,
and how far luck may have moved it (Deep Learning Tuning Playbook, "Extracting insight from experimental
results")."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.isolation import COMPARED_FROM_TRIALS, Isolation, ValueBest, isolate_groups
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.domain.value_groups import ValueGroups
from tunebook_server.figures import axis, labels, marks, theme, value_names
from tunebook_server.figures.axis import Scale
from tunebook_server.figures.figure import Figure, typed

SHOWN_VALUES = 24
NEEDED_TRIALS = COMPARED_FROM_TRIALS
FOOT = 0.08  # share of the height for the counts, under the objective's axis
BEFORE_LABEL = 14  # letters of a choice under the axis
LABELS_ROOM = 84  # letters beside each other under the axis


@dataclass(frozen=True, slots=True)
class Bar:
    """The best trial of one value; `x` on the hyperparameter's axis, `low` to `high` its interval."""

    value: ValueBest
    name: str
    x: float
    y: float
    low: float
    high: float
    id: int
    number: int
    wins: bool


@dataclass(frozen=True, slots=True)
class IsolationPlot:
    """`noun`: what is compared, "value" or "study"."""

    scale: Scale
    noun: str
    objective: Objective
    isolation: Isolation
    bars: tuple[Bar, ...]
    trials: int
    limits: tuple[float, float] | None
    log: bool
    clipped: bool


def compute(
    columns: TrialColumns,
    groups: ValueGroups,
    scale: Scale,
    objective: Objective,
    *,
    noun: str = "value",
    divergent: NDArray[np.bool_] | None = None,
    clip: bool = True,
    objective_scale: str = "auto",
) -> IsolationPlot:
    """At most 24 groups, those with the best trials; `scale` names them. `divergent`: a flag a trial, where
    that is not to be judged among all of them."""
    found = isolate_groups(columns, groups, objective)
    bars = [_bar(columns, scale, found, place, objective) for place in _shown(found, columns, objective)]
    bests = np.array([bar.y for bar in bars])
    ends = np.array([end for bar in bars for end in (bar.low, bar.high)])
    log = marks.takes_log(np.append(bests, ends), objective_scale)
    near = np.append(bests, ends)
    inside = near[objective.sign * near <= _worst(columns, objective, divergent)] if clip else near
    return IsolationPlot(
        scale=scale,
        noun=noun,
        objective=objective,
        isolation=found,
        bars=tuple(bars),
        trials=sum(value.trials for value in found.values),
        limits=marks.padded(inside, log=log),
        log=log,
        clipped=len(inside) < len(near),
    )


def draw(plot: IsolationPlot) -> Figure:
    layout = theme.layout(
        xaxis={**_across(plot), "anchor": "free", "position": 0},
        yaxis=theme.axis(
            labels.objective_title(plot.objective, log=plot.log),
            type="log" if plot.log else "linear",
            domain=[FOOT, 1],
        ),
        shapes=_borders(plot),
        annotations=_counts(plot),
        showlegend=False,
    )
    layout["margin"]["t"] = theme.MARGIN_PIXELS["r"]
    layout["margin"]["b"] += theme.TITLE_LINE_PIXELS * layout["xaxis"]["title"]["text"].count("<br>")
    if plot.limits:
        layout["yaxis"]["range"] = list(plot.limits)
    if plot.trials < NEEDED_TRIALS:
        return marks.wanted({**layout, "shapes": []}, plot.trials, NEEDED_TRIALS, "feasible trial")
    return Figure([_trace(plot)], layout, _notes(plot))


def _worst(columns: TrialColumns, objective: Objective, divergent: NDArray[np.bool_] | None) -> float:
    """The highest loss of a trial that did not diverge."""
    apart = columns.divergent(objective) if divergent is None else divergent
    losses = objective.sign * columns.objective[columns.feasible & ~apart]
    return float(losses.max()) if len(losses) else np.inf


def _shown(found: Isolation, columns: TrialColumns, objective: Objective) -> list[int]:
    tried = [(place, each.best) for place, each in enumerate(found.values) if each.best is not None]
    tried.sort(key=lambda pair: (pair[0] != found.winner, objective.sign * float(columns.objective[pair[1]])))
    return sorted(place for place, _ in tried[:SHOWN_VALUES])


def _bar(columns: TrialColumns, scale: Scale, found: Isolation, place: int, objective: Objective) -> Bar:
    value = found.values[place]
    assert value.best is not None
    low, high = sorted((objective.sign * value.low, objective.sign * value.high))
    return Bar(
        value=value,
        name=value_names.name(scale, value.first, value.last),
        x=value.first if value.first == value.last else float(columns.values[scale.key][value.best]),
        y=float(columns.objective[value.best]),
        low=low,
        high=high,
        id=int(columns.ids[value.best]),
        number=int(columns.numbers[value.best]),
        wins=found.winner == place,
    )


def _across(plot: IsolationPlot) -> dict[str, Any]:
    """Of choices only those shown, side by side: of a thousand, most would have no trial."""
    xs = [bar.x for bar in plot.bars]
    across = axis.span(plot.scale, (min(xs), max(xs)) if xs else None, plot.trials)
    if plot.scale.kind == "choice":
        limit = max(BEFORE_LABEL, LABELS_ROOM // max(len(plot.bars), 1))
        names = [labels.plain(bar.name, limit=limit) for bar in plot.bars]
        across |= {"tickvals": list(range(len(names))), "ticktext": names}
        across["range"] = [-0.6, max(len(names), 1) - 0.4]
    return across


def _places(plot: IsolationPlot) -> list[float]:
    chosen = plot.scale.kind == "choice"
    return [float(place) if chosen else bar.x for place, bar in enumerate(plot.bars)]


def _middles(plot: IsolationPlot) -> list[float]:
    """Where the counts stand, in the axis's own coordinates: the middle of a part."""
    if plot.scale.kind != "log":
        ends = [(bar.value.first + bar.value.last) / 2 for bar in plot.bars]
        return _places(plot) if plot.scale.kind == "choice" else ends
    return [float(np.log10(bar.value.first * bar.value.last) / 2) for bar in plot.bars]


def _counts(plot: IsolationPlot) -> list[dict[str, Any]]:
    """The number of trials behind every best, along the foot of the plot."""
    words = [f"{bar.value.trials:,}" for bar in plot.bars]
    if len(words) <= 4:
        words = [labels.count(bar.value.trials, "trial") for bar in plot.bars]
    return [
        {
            "x": x,
            "y": 0,
            "yref": "paper",
            "yanchor": "bottom",
            "text": word,
            "showarrow": False,
            "font": {"size": 10, "color": theme.color("muted")},
        }
        for x, word in zip(_middles(plot), words, strict=True)
    ]


def _borders(plot: IsolationPlot) -> list[dict[str, Any]]:
    """Between the parts of a range."""
    parts = [value for value in plot.isolation.values if value.first != value.last]
    line = {"color": theme.color("edge"), "width": 1, "dash": "dot"}
    ends = [*(part.first for part in parts), *(part.last for part in parts[-1:])]
    common = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}
    return [{**common, "x0": end, "x1": end} for end in ends]


def _trace(plot: IsolationPlot) -> dict[str, Any]:
    y = np.array([bar.y for bar in plot.bars])
    low, high = (np.array([getattr(bar, end) for bar in plot.bars]) for end in ("low", "high"))
    metric = labels.plain(plot.objective.metric)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "best",
        "x": typed(np.array(_places(plot))),
        "y": typed(y),
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": typed(_apart(y, high)),
            "arrayminus": typed(_apart(np.maximum(low, y * 1e-12) if plot.log else low, y)),
            "color": theme.color("muted"),
            "thickness": 1.5,
            "width": 5,
        },
        "customdata": typed(np.array([(bar.id, bar.number) for bar in plot.bars], dtype=np.int64)),
        "text": [_hover(plot, bar) for bar in plot.bars],
        "marker": {
            "symbol": ["star" if bar.wins else "circle" for bar in plot.bars],
            "size": [theme.STAR_PIXELS if bar.wins else theme.MARKER_PIXELS + 3 for bar in plot.bars],
            "color": [theme.color("top" if bar.wins else "feasible") for bar in plot.bars],
            "opacity": [1.0 if bar.value.compared else 0.45 for bar in plot.bars],
        },
        "hovertemplate": (
            f"<b>Trial %{{customdata[1]}}</b><br>{metric} %{{y:.4~g}}<br>%{{text}}<extra></extra>"
        ),
    }


def _apart(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """`high - low`, as far as a number goes."""
    return np.minimum(high / 2 - low / 2, marks.LARGEST) * 2


def _hover(plot: IsolationPlot, bar: Bar) -> str:
    name = labels.plain(labels.key_words(plot.scale.key)[0])
    lines = [f"{name} {labels.plain(bar.name)}", f"best of {labels.count(bar.value.trials, 'trial')}"]
    if bar.value.infeasible:
        lines[1] += f", {bar.value.infeasible:,} infeasible"
    interval = f"{labels.significant(bar.low)} to {labels.significant(bar.high)}"
    return "<br>".join([*lines, f"95 % interval {interval}"])


def _notes(plot: IsolationPlot) -> tuple[str, ...]:
    found = plot.isolation
    sentences = [verdict(plot)]
    few = sum(value.trials > 0 and not value.compared for value in found.values)
    untried = sum(value.trials == 0 for value in found.values)
    if few:
        sentences.append(
            f"{labels.several(few, plot.noun)} with under {COMPARED_FROM_TRIALS} trials not compared (pale)."
        )
    if untried:
        sentences.append(f"{labels.several(untried, plot.noun)} without a feasible trial.")
    if found.matched:
        sentences.append(
            f"Bars: 95 % bootstrap intervals of the best, compared at {found.matched:,} trials "
            f"a {plot.noun}; they hold the luck of the search, not that of retraining."
        )
    if len(plot.bars) < len(found.values) - untried:
        sentences.append(f"The best {len(plot.bars)} of {len(found.values):,} values shown.")
    if found.without:
        sentences.append(f"{labels.count(found.without, 'trial')} without this hyperparameter left out.")
    if plot.clipped:
        sentences.append("Objective axis clipped: what diverged lies outside.")
    return tuple(sentences)


def verdict(plot: IsolationPlot) -> str:
    """What the intervals allow to say, in a sentence."""
    found = plot.isolation
    name = labels.short(labels.key_words(plot.scale.key)[0])
    some = f"value of {name}" if plot.noun == "value" else plot.noun
    if not found.matched:
        return f"No {some} can be called best: under two have {COMPARED_FROM_TRIALS} trials."
    if found.winner is not None:
        winner = found.values[found.winner]
        word = labels.short(value_names.name(plot.scale, winner.first, winner.last))
        wins = f"its interval lies wholly on the better side of every other compared {plot.noun}"
        return f"{name} {word} wins: {wins} (★)."
    return f"No {some} wins: the intervals of the best ones overlap, so luck may have ordered them."

"""The lineage of a population: a hyperparameter of each member over the steps, and who copied whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunebook_server.figures import labels, marks, theme
from tunebook_server.figures.axis import Scale
from tunebook_server.figures.figure import Figure, compact, typed

MEMBERS_COLOURED = 6
NEEDED_MEMBERS = 2


@dataclass(frozen=True, slots=True)
class Stretch:
    """An attempt of a member: from `first_step` to `last_step` with one value (of a choice its place; NaN
    where it is inactive). `parent`: the number of the member whose checkpoint it went on from."""

    trial_id: int
    number: int
    epoch: int
    first_step: int
    last_step: int
    value: float
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class LineagePlot:
    """`members`: numbers of the members, the best first; `stretches` by member and step."""

    scale: Scale
    members: tuple[int, ...]
    stretches: tuple[Stretch, ...]

    @property
    def copies(self) -> list[Stretch]:
        return [each for each in self.stretches if each.parent is not None]


def draw(plot: LineagePlot) -> Figure:
    copies = labels.several(len(plot.copies), "copy")
    members = labels.count(len(plot.members), "member")
    layout = theme.layout(
        xaxis=theme.steps(log=False, behind=f" · {members}, {copies}"),
        yaxis=_value_axis(plot.scale),
    )
    if len(plot.members) < NEEDED_MEMBERS:
        return marks.wanted(layout, len(plot.members), NEEDED_MEMBERS, "member with a turn")
    lines = [_member(plot, number, rank) for rank, number in reversed(list(enumerate(plot.members)))]
    note = (
        "A line is a member with the values that it trained with; where one breaks off, the member went on "
        "from the checkpoint at the other end of a dotted line."
    )
    return Figure([*lines, *_copies(plot)], layout, (note,))


def _value_axis(scale: Scale) -> dict[str, Any]:
    name = labels.plain(labels.key_words(scale.key)[0])
    if scale.kind == "choice":
        ticks = {
            "tickvals": list(range(len(scale.names))),
            "ticktext": [labels.plain(n) for n in scale.names],
        }
        return theme.axis(name, range=[-0.5, scale.high + 0.5], **ticks)
    log = scale.kind == "log"
    ends = (float(np.log10(scale.low)), float(np.log10(scale.high))) if log else (scale.low, scale.high)
    low, high = marks.around(*ends, share=0.04)
    return theme.axis(f"{name} (log)" if log else name, type=scale.kind, range=[low, high])


def _member(plot: LineagePlot, number: int, rank: int) -> dict[str, Any]:
    """Steps of one member, broken where it copied; the best ones have a colour of their own."""
    x, y, who = list[float](), list[float](), list[list[int]]()
    for each in (each for each in plot.stretches if each.number == number):
        gap = [] if each.parent is None else [np.nan]
        x += [*gap, each.first_step, each.last_step]
        y += [*gap, each.value, each.value]
        who += [[each.trial_id, number, each.epoch]] * (len(gap) + 2)
    coloured = rank < MEMBERS_COLOURED
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"trial {number}" + (" (best)" if rank == 0 else ""),
        "showlegend": coloured,
        "x": typed(np.array(x, dtype=np.float64)),
        "y": typed(compact(np.array(y, dtype=np.float64))),
        "customdata": who,
        "line": {
            "color": theme.series(rank) if coloured else theme.color("other"),
            "width": 3 if rank == 0 else 1.5,
        },
        "hovertemplate": (
            "<b>Trial %{customdata[1]}</b>, attempt %{customdata[2]}<br>step %{x:,d}: %{y:.4g}<extra></extra>"
        ),
    }


def _copies(plot: LineagePlot) -> list[dict[str, Any]]:
    """From the parent's value to the copy's, where the copy begins."""
    found = [(each, _value_of(plot.stretches, each)) for each in plot.copies]
    if not found:
        return []
    x = [place for each, _ in found for place in (each.first_step, each.first_step, np.nan)]
    y = [place for each, before in found for place in (before, each.value, np.nan)]
    words = [f"trial {each.number} from trial {each.parent}" for each, _ in found for _ in range(3)]
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "copied from",
            "x": typed(np.array(x, dtype=np.float64)),
            "y": typed(compact(np.array(y, dtype=np.float64))),
            "text": words,
            "line": {"color": theme.color("text"), "width": 1, "dash": "dot"},
            "marker": {"color": theme.color("text"), "size": 4},
            "hovertemplate": "%{text}<br>step %{x:,d}: %{y:.4g}<extra></extra>",
        }
    ]


def _value_of(stretches: Sequence[Stretch], copy: Stretch) -> float:
    """The parent's value where the copy was taken."""
    values = [
        each.value
        for each in stretches
        if each.number == copy.parent and each.first_step <= copy.first_step <= each.last_step
    ]
    return values[-1] if values else float("nan")

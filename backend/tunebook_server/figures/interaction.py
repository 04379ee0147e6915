"""Which nuisance hyperparameters move with the scientific one: a row each, a bar a scientific value."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunebook_server.domain.interaction import NEEDED_TRIALS, Conclusion, Interaction, Nuisance, Region
from tunebook_server.figures import labels, theme
from tunebook_server.figures.axis import Scale
from tunebook_server.figures.figure import Figure
from tunebook_server.figures.importance import key_label
from tunebook_server.figures.marks import wanted

ROWS_MOST = 20
VALUES_MOST = 12
BAR_PIXELS = 14
ROW_PIXELS = 58
WORDS = {
    Conclusion.MOVES: "must be retuned together",
    Conclusion.FLAT: "can be fixed",
    Conclusion.UNCLEAR: "no difference shown",
    Conclusion.ALONE: "for one value only",
}
ORDER = (Conclusion.MOVES, Conclusion.UNCLEAR, Conclusion.FLAT, Conclusion.ALONE)


def draw(found: Interaction, scientific: str, names: Sequence[str], scales: Mapping[str, Scale]) -> Figure:
    """`names`: words of the scientific values; `scales`: of the nuisance hyperparameters by key."""
    rows = sorted(found.rows, key=lambda row: ORDER.index(row.conclusion))[:ROWS_MOST][::-1]
    values = sorted({region.value for row in rows for region in row.regions})[:VALUES_MOST]
    height = max(ROW_PIXELS, BAR_PIXELS * (len(values) + 1))
    name = labels.plain(labels.key_words(scientific)[0], limit=labels.AXIS_LETTERS)
    layout = theme.layout(
        xaxis=theme.axis(
            f"by {name} · {labels.count(sum(found.counts), 'trial')}",
            range=[-0.03, 1.03],
            showticklabels=False,
            ticks="",
        ),
        yaxis=theme.axis(
            "",
            tickvals=list(range(len(rows))),
            ticktext=[_label(row) for row in rows],
            range=[-0.6, max(len(rows), 1) - 0.4],
            ticks="",
            showgrid=False,
            fixedrange=True,
            automargin=True,
        ),
        annotations=[end for place, row in enumerate(rows) for end in _ends(place, scales[row.key])],
        margin={"l": 8, "r": 16, "t": 32, "b": 30},
        height=height * max(len(rows), 3) + 70,
    )
    if not rows or len(values) < 2:
        return _wanted(layout, found)
    drawn = [
        trace
        for line, value in enumerate(values)
        for trace in _value(rows, scales, value=value, name=names[value], line=line, lines=len(values))
    ]
    return Figure(drawn, layout, _notes(found, len(values)))


def _wanted(layout: dict[str, Any], found: Interaction) -> Figure:
    """Two scientific values with enough trials are the least that can be compared."""
    first, second = [*sorted(found.counts, reverse=True), 0, 0][:2]
    figure = wanted({**layout, "annotations": []}, second, NEEDED_TRIALS)
    text = (
        f"{NEEDED_TRIALS} feasible trials of each of two scientific values wanted "
        f"({first:,} and {second:,} so far)"
    )
    return Figure([], {**figure.layout, "annotations": [{**figure.layout["annotations"][0], "text": text}]})


def _label(row: Nuisance) -> str:
    return f"{key_label(row.key)}<br>{WORDS[row.conclusion]}"


def _value(
    rows: Sequence[Nuisance],
    scales: Mapping[str, Scale],
    *,
    value: int,
    name: str,
    line: int,
    lines: int,
) -> list[dict[str, Any]]:
    """Bars of one scientific value: thin over the good region, thick over the median's interval."""
    places, regions = [], []
    for place, row in enumerate(rows):
        for region in row.regions:
            if region.value == value:
                places.append(place + _offset(line, lines))
                regions.append((row, region))
    color, title = theme.series(line), labels.plain(name, limit=24)
    if not regions:
        return []
    thin, thick = (
        {
            "type": "scatter",
            "mode": "lines",
            "x": [end for pair in ends for end in (*pair, None)],
            "y": [end for place in places for end in (place, place, None)],
            "line": {"color": color, "width": width},
            "opacity": opacity,
            "legendgroup": title,
            "showlegend": False,
            "hoverinfo": "skip",
            "name": title,
        }
        for width, opacity, ends in (
            (2, 0.8, [(each.low, each.high) for _, each in regions]),
            (8, 0.45, [(each.centre_low, each.centre_high) for _, each in regions]),
        )
    )
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": title,
        "legendgroup": title,
        "x": [each.centre for _, each in regions],
        "y": places,
        "marker": {
            "size": 9,
            "color": color,
            "symbol": "circle",
            "line": {"width": 1, "color": theme.color("ground")},
        },
        "text": [_hover(row, each, scales[row.key]) for row, each in regions],
        "hovertemplate": f"<b>{title}</b><br>%{{text}}<extra></extra>",
    }
    return [thin, thick, dots]


def _offset(line: int, lines: int) -> float:
    return 0.0 if lines < 2 else 0.3 - 0.42 * line / (lines - 1)


def _hover(row: Nuisance, region: Region, scale: Scale) -> str:
    name = labels.plain(labels.key_words(row.key)[0])
    middle, low, high = (
        value_words(scale, place) for place in (region.centre, region.centre_low, region.centre_high)
    )
    p = "" if row.p is None else f"<br>moves with p = {labels.significant(row.p, 2)}"
    return f"{name} {middle} ({low} to {high})<br>{labels.count(region.trials, 'trial')}{p}"


def value_words(scale: Scale, place: float) -> str:
    """The value at a place in [0, 1] of the range, or the choice there."""
    if scale.kind == "choice":
        at = min(max(int(place * len(scale.names)), 0), len(scale.names) - 1)
        return labels.plain(scale.names[at], limit=24)
    if scale.kind == "log":
        return labels.significant(scale.low * (scale.high / scale.low) ** place, 3)
    return labels.significant(scale.low + place * (scale.high - scale.low), 3)


def _ends(place: int, scale: Scale) -> list[dict[str, Any]]:
    """The first and the last value of a row's range, small below it."""
    font = {"size": 10, "color": theme.color("muted")}
    ends = ((0.0, "left"), (1.0, "right"))
    return [
        {
            "x": x,
            "y": place - 0.34,
            "text": value_words(scale, x),
            "xanchor": anchor,
            "yanchor": "middle",
            "showarrow": False,
            "font": font,
        }
        for x, anchor in ends
    ]


def _notes(found: Interaction, values: int) -> tuple[str, ...]:
    notes = [
        "Across: the range of each hyperparameter, on its scale. Thin bars: where "
        "80 % of the best trials of a scientific value lie; thick bars: the 95 % interval "
        "of their median. It moves where chance would move it as far in under 1 % of permutations; it can be "
        "fixed where it surely has under a fifth of the importance."
    ]
    short = sum(count < NEEDED_TRIALS for count in found.counts)
    if short:
        notes.append(f"{labels.count(short, 'value')} with under {NEEDED_TRIALS} feasible trials left out.")
    if len(found.rows) > ROWS_MOST:
        notes.append(f"{ROWS_MOST} of {len(found.rows)} hyperparameters shown.")
    if sum(count >= NEEDED_TRIALS for count in found.counts) > values:
        notes.append(f"The first {values} scientific values shown.")
    return tuple(notes)

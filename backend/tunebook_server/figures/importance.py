"""The importance of every varied hyperparameter, with its interval."""

from typing import Any

from tunebook_server.domain.importance import NEEDED_TRIALS, TOP_SHARE, Importances
from tunebook_server.domain.objective import Objective
from tunebook_server.figures import labels, theme
from tunebook_server.figures.figure import Figure
from tunebook_server.figures.marks import wanted

ROW_PIXELS = 34
ROWS_MOST = 30
NAME_LETTERS = 26


def draw(found: Importances, objective: Objective) -> Figure:
    """One bar a hyperparameter, the most important on top."""
    shown = found.ranked[:ROWS_MOST][::-1]
    title = f"importance for {labels.plain(objective.metric, limit=labels.AXIS_LETTERS)}"
    layout = theme.layout(
        xaxis=theme.axis(f"{title} · {labels.count(found.trials, 'trial')}", tickformat=".0%", range=[0, 1]),
        yaxis=theme.axis(
            "",
            tickvals=list(range(len(shown))),
            ticktext=[key_label(each.key) for each in shown],
            range=[-0.6, max(len(shown), 1) - 0.4],
            ticks="",
            showgrid=False,
            fixedrange=True,
            automargin=True,
        ),
        showlegend=False,
        margin={"l": 8, "r": 16, "t": 12, "b": 44},
        height=ROW_PIXELS * max(len(shown), 4) + 56,
    )
    if not shown:
        return wanted(layout, min(found.trials, NEEDED_TRIALS - 1), NEEDED_TRIALS, "feasible trial")
    return Figure([_bars(shown)], layout, _notes(found))


def key_label(key: str) -> str:
    """`learning_rate`, and the condition of a conditional one on a line of its own."""
    name, conditions = labels.key_words(key)
    lines = [labels.plain(name, limit=NAME_LETTERS)]
    lines += [" · ".join(labels.plain(each, limit=NAME_LETTERS) for each in conditions)] if conditions else []
    return "<br>".join(lines)


def _bars(shown: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": "importance",
        "x": [each.share for each in shown],
        "y": list(range(len(shown))),
        "width": 0.6,
        "marker": {"color": theme.color("feasible"), "opacity": 0.75},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [each.high - each.share for each in shown],
            "arrayminus": [each.share - each.low for each in shown],
            "color": theme.color("text"),
            "thickness": 1.5,
            "width": 4,
        },
        "text": [_hover(each) for each in shown],  # not customdata, which names trials in every figure
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }


def _hover(each: Any) -> str:
    interval = f"{each.share:.0%} (95 % interval {each.low:.0%} to {each.high:.0%})"
    return f"<b>{key_label(each.key)}</b><br>{interval}<br>{labels.count(each.trials, 'trial')}"


def _notes(found: Importances) -> tuple[str, ...]:
    notes = [
        f"How far the values of the best {TOP_SHARE:.0%} of trials differ from those of all, beyond chance "
        "(PED-ANOVA); infeasible trials count as the worst. Lines: 95 % intervals."
    ]
    if len(found.ranked) > ROWS_MOST:
        notes.append(f"The {ROWS_MOST} most important of {len(found.ranked)} hyperparameters are shown.")
    if found.wanting:
        names = ", ".join(f"{labels.key_words(key)[0]} ({count})" for key, count in found.wanting.items())
        notes.append(f"Left out, with fewer than {NEEDED_TRIALS} feasible trials: {names[:400]}.")
    return tuple(notes)

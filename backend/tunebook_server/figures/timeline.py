"""The timeline: a bar an attempt, from its claim to its end, a row a slot of a worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tunebook_server.figures import labels, theme
from tunebook_server.figures.figure import Figure
from tunebook_server.figures.marks import wanted

ROW_PIXELS = 22
ROWS_MOST = 60
LIVE = "running"
MARGIN_PARTS = 50
LEGEND_COLUMNS = 3  # of a figure 400 pixels wide
LOOKS = {  # outcome: colour's role, opacity
    "completed": ("series-1", 0.8),
    "stopped": ("series-3", 0.8),
    "infeasible": ("infeasible", 0.8),
    "failed": ("series-2", 0.9),
    "lost": ("series-4", 0.9),
    "released": ("other", 0.7),
    "preempted": ("series-5", 0.8),
    "paused": ("series-6", 0.7),
    LIVE: ("top", 0.9),
}


@dataclass(frozen=True, slots=True)
class Span:
    """One attempt, times in UTC; `started` is None if it never started, `ended` while it lives."""

    trial_id: int
    number: int
    epoch: int
    place: str
    claimed: datetime
    started: datetime | None
    ended: datetime | None
    outcome: str | None
    study: str = ""
    """Where attempts of several studies stand together."""


@dataclass(frozen=True, slots=True)
class Bar:
    span: Span
    row: int
    end: datetime


@dataclass(frozen=True, slots=True)
class TimelinePlot:
    bars: tuple[Bar, ...]
    rows: tuple[str, ...]
    attempts: int
    now: datetime
    since: datetime | None = None


def compute(
    spans: Sequence[Span],
    *,
    attempts: int,
    now: datetime,
    since: datetime | None = None,
    places: Mapping[str, int] | None = None,
) -> TimelinePlot:
    """Rows by worker; attempts of one worker that overlap take further rows, its slots.

    `attempts`: of all, those left out included. Live attempts end at `now`. `places` have so many rows at
    least, though nothing ran there; the axis never starts before `since`.
    """
    places = places or {}
    by_place: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.claimed, span.trial_id, span.epoch)):
        by_place.setdefault(span.place, []).append(span)
    bars: list[Bar] = []
    rows: list[str] = []
    for place in sorted({*by_place, *places}):
        slots: list[datetime] = []
        for span in by_place.get(place, ()):
            end = max(span.ended or now, span.claimed)
            free = next((slot for slot, until in enumerate(slots) if until <= span.claimed), len(slots))
            slots[free : free + 1] = [end]
            bars.append(Bar(span, len(rows) + free, end))
        rows += [place] + [""] * (max(len(slots), places.get(place, 1)) - 1)
    return TimelinePlot(
        tuple(bar for bar in bars if bar.row < ROWS_MOST), tuple(rows[:ROWS_MOST]), attempts, now, since
    )


def draw(plot: TimelinePlot) -> Figure:
    rows = len(plot.rows)
    layout = theme.layout(
        barmode="overlay",
        xaxis=theme.axis(
            f"UTC · {labels.count(plot.attempts, 'attempt')}", type="date", automargin=True, **_window(plot)
        ),
        yaxis=theme.axis(
            "",
            tickvals=[row for row, name in enumerate(plot.rows) if name],
            ticktext=[labels.plain(name, limit=20) for name in plot.rows if name],
            range=[max(rows, 1) - 0.4, -0.6],
            ticks="",
            showgrid=False,
            fixedrange=True,
            automargin=True,
        ),
        margin={"l": 8, "r": 12, "t": 32, "b": 56},
        height=ROW_PIXELS * max(rows, 5) + 96,
    )
    if not plot.bars and not (plot.since and plot.rows):
        return wanted(layout, 0, 1, "attempt")
    found = {outcome: [bar for bar in plot.bars if _outcome(bar.span) == outcome] for outcome in LOOKS}
    lines = max(sum(map(bool, found.values())) - 1, 0) // LEGEND_COLUMNS
    layout["margin"]["t"] += theme.TITLE_LINE_PIXELS * lines
    layout["height"] += theme.TITLE_LINE_PIXELS * lines
    if found[LIVE]:
        layout["shapes"] = [_now(plot.now)]
    data = [_trace(outcome, bars) for outcome, bars in found.items() if bars]
    return Figure(data, layout, _notes(plot))


def _window(plot: TimelinePlot) -> dict[str, Any]:
    """From a little before the first attempt of the window: minutes of work are no line in six hours."""
    if plot.since is None:
        return {}
    if not plot.bars:
        return {"range": [_time(plot.since), _time(plot.now)]}
    first = min(bar.span.claimed for bar in plot.bars)
    begin = max(plot.since, first - (plot.now - first) / MARGIN_PARTS)
    return {"range": [_time(begin), _time(plot.now)]}


def _outcome(span: Span) -> str:
    return LIVE if span.ended is None else (span.outcome if span.outcome in LOOKS else "failed")


def _trace(outcome: str, bars: Sequence[Bar]) -> dict[str, Any]:
    role, opacity = LOOKS[outcome]
    return {
        "type": "bar",
        "orientation": "h",
        "name": outcome,
        "base": [_time(bar.span.claimed) for bar in bars],
        "x": [round((bar.end - bar.span.claimed) / timedelta(milliseconds=1)) for bar in bars],
        "y": [bar.row for bar in bars],
        "width": 0.72,
        "customdata": [[bar.span.trial_id, bar.span.number, bar.span.epoch] for bar in bars],
        "text": [_words(bar) for bar in bars],
        "textposition": "none",
        "marker": {"color": theme.color(role), "opacity": opacity, "line": {"width": 0}},
        "hovertemplate": (
            f"<b>Trial %{{customdata[1]}}</b>, attempt %{{customdata[2]}}: {outcome}"
            "<br>%{text}<extra></extra>"
        ),
    }


def _words(bar: Bar) -> str:
    span = bar.span
    waited = "" if span.started is None else f", started after {_duration(span.started - span.claimed)}"
    study = f"{labels.plain(span.study)}<br>" if span.study else ""
    return (
        f"{study}{labels.plain(span.place)}<br>{span.claimed:%Y-%m-%d %H:%M:%S} UTC"
        f"<br>{_duration(bar.end - span.claimed)}{waited}"
    )


def _duration(length: timedelta) -> str:
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3_600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def _time(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="milliseconds")


def _now(now: datetime) -> dict[str, Any]:
    line = {"color": theme.color("edge"), "width": 1, "dash": "dot"}
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": _time(now),
        "x1": _time(now),
        "y0": 0,
        "y1": 1,
        "line": line,
    }


def _notes(plot: TimelinePlot) -> tuple[str, ...]:
    shown = len(plot.bars)
    if shown < plot.attempts:
        return (f"The newest {shown:,} of {plot.attempts:,} attempts shown.",)
    return ()

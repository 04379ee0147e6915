"""The only colours, symbols and letters of figures; CSS variables repeat them, and a test compares.

A figure names a colour by its role (`var(--figure-feasible)`). The browser resolves the name against the
theme it shows, so a figure follows light and dark without a request; `figure.resolved` does it in Python.
"""

from collections.abc import Mapping
from typing import Any

LIGHT: Mapping[str, str] = {
    "figure-ground": "#ffffff",
    "figure-text": "#1c2230",
    "figure-muted": "#5a6375",
    "figure-grid": "#e8ebf0",
    "figure-edge": "#a4adbc",
    "figure-feasible": "#2f5fd0",
    "figure-infeasible": "#c92a3e",
    "figure-top": "#14804a",
    "figure-best": "#1c2230",
    "figure-other": "#a4adbc",
    "figure-series-1": "#2f5fd0",
    "figure-series-2": "#c2570c",
    "figure-series-3": "#0f7f6e",
    "figure-series-4": "#a2327f",
    "figure-series-5": "#7a6200",
    "figure-series-6": "#5b4bb8",
}
DARK: Mapping[str, str] = {
    "figure-ground": "#14171d",
    "figure-text": "#e4e8ef",
    "figure-muted": "#98a2b3",
    "figure-grid": "#262b35",
    "figure-edge": "#5d6778",
    "figure-feasible": "#7aa2ff",
    "figure-infeasible": "#ff6b7a",
    "figure-top": "#4cc38a",
    "figure-best": "#e4e8ef",
    "figure-other": "#5d6778",
    "figure-series-1": "#7aa2ff",
    "figure-series-2": "#f0954a",
    "figure-series-3": "#41c5ae",
    "figure-series-4": "#e07fc0",
    "figure-series-5": "#d3b13f",
    "figure-series-6": "#a99bf5",
}
PALETTES: Mapping[str, Mapping[str, str]] = {"light": LIGHT, "dark": DARK}
SERIES = tuple(f"figure-series-{place}" for place in range(1, 7))

# From the best to the worst; see-through, so that they suit the ground of either theme.
SURFACE: list[list[Any]] = [
    [0.0, "#14804a"],
    [0.3, "#2aa198"],
    [0.65, "#5a86e8"],
    [1.0, "#9a9fb5"],
]
SURFACE_OPACITY = 0.6

FONT_FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
FONT_SIZE_PIXELS = 12
FEW_TICKS = 6
MARKER_PIXELS = 6
MARKER_CROWDED_PIXELS = 4
STAR_PIXELS = 12
MARKS_LEGEND = -9
# Fixed: measuring labels to fit the margins (`automargin`) triples the time to draw a figure.
MARGIN_PIXELS = {"l": 60, "r": 12, "t": 32, "b": 44}
TITLE_LINE_PIXELS = 16


def color(role: str) -> str:
    """The name of a colour, for every figure property that ends with `color`."""
    assert f"figure-{role}" in LIGHT, role
    return f"var(--figure-{role})"


def series(place: int) -> str:
    return f"var(--{SERIES[place % len(SERIES)]})"


def marker(role: str, *, crowded: bool = False) -> dict[str, Any]:
    """How a trial of one role looks in every figure: feasible, infeasible, top or running."""
    size = MARKER_CROWDED_PIXELS if crowded else MARKER_PIXELS
    if role == "top":
        return {
            "symbol": "star",
            "size": STAR_PIXELS,
            "color": color("top"),
            "line": {"width": 1, "color": color("ground")},
        }
    if role == "infeasible":
        line = {"width": 1 if crowded else 1.5, "color": color("infeasible")}
        return {"symbol": "x-thin", "size": size, "line": line, "opacity": 0.6 if crowded else 1}
    if role == "running":
        return {
            "symbol": "circle-open",
            "size": size + 1,
            "color": color("feasible"),
            "line": {"width": 1.5, "color": color("feasible")},
        }
    return {
        "symbol": "circle",
        "size": size,
        "color": color("feasible"),
        "opacity": 0.55 if crowded else 0.75,
    }


def axis(title: str, **properties: Any) -> dict[str, Any]:
    """A quiet axis: hairline grid, no zero line, its title close by."""
    return {
        "title": {"text": title, "standoff": 6, "font": {"size": FONT_SIZE_PIXELS}},
        "gridcolor": color("grid"),
        "linecolor": color("edge"),
        "tickcolor": color("edge"),
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 3,
        "exponentformat": "e",
        "tickfont": {"size": 11, "color": color("muted")},
        **properties,
    }


def counting(title: str, *, span: float, **properties: Any) -> dict[str, Any]:
    """An axis of whole numbers; over a `span` of a few alone Plotly would name one twice."""
    every_one = {"dtick": 1} if span < FEW_TICKS else {}
    return axis(title, tickformat=",d", **every_one, **properties)


def steps(*, log: bool, behind: str = "") -> dict[str, Any]:
    """The axis of training steps: 5k, 10k, 15k, which need little room. `behind`: more for its title."""
    if log:
        return axis(f"step (log){behind}", type="log")
    return axis(f"step{behind}", type="linear", tickformat="~s")


def layout(*, legend: int = 0, **properties: Any) -> dict[str, Any]:
    """What every figure has in common; `uirevision` keeps a reader's zoom while live points arrive.

    `legend`: its indentation in pixels, below 0 for marks, which need less room than lines.
    """
    return {
        "font": {"family": FONT_FAMILY, "size": FONT_SIZE_PIXELS, "color": color("text")},
        "paper_bgcolor": color("ground"),
        "plot_bgcolor": color("ground"),
        "margin": dict(MARGIN_PIXELS),
        "legend": {
            "orientation": "h",
            "xref": "container",
            "x": 0,
            "xanchor": "left",
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "font": {"size": 10},
            "itemsizing": "trace",
            "itemwidth": 30,
            "indentation": legend,
        },
        "hoverlabel": {
            "bgcolor": color("ground"),
            "bordercolor": color("edge"),
            "font": {"color": color("text")},
        },
        "hovermode": "closest",
        "dragmode": "zoom",
        "uirevision": "reader",
        "showlegend": True,
        **properties,
    }

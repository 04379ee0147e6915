"""Words and numbers in figures; Plotly parses a small HTML in labels, so user text passes `plain` first."""

import math
from urllib.parse import unquote

from tunebook_server.domain.objective import Objective

LABEL_LIMIT = 48
AXIS_LETTERS = 24  # beside a figure 200 pixels high


def plain(text: str, *, limit: int = LABEL_LIMIT) -> str:
    """User text that Plotly shows literally: no tag, no entity, no `%{template}`, no MathJax `$…$`.

    A zero-width space breaks `%{` and `$`; entities stand for `& < >`. Control characters become spaces.
    """
    escaped = short(text, limit=limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("%{", "%\u200b{").replace("$", "$\u200b")


def short(text: str, *, limit: int = LABEL_LIMIT) -> str:
    """User text in a note, which pages show as text: cut, control characters as spaces, nothing escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(letter if letter.isprintable() else " " for letter in cut)


def significant(value: float | None, digits: int = 4) -> str:
    """Three or four significant digits, powers of ten where zeros would be counted; "–" for nothing.

    >>> [significant(x) for x in (0.0831, 12345.678, 3.2e-07, 1.0, float("nan"))]
    ['0.0831', '12,346', '3.2e-7', '1', 'NaN']
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-4 <= size < 1e6:
        whole = size >= 10**digits
        return f"{value:,.0f}" if whole else f"{value:.{digits}g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def key_words(key: str) -> tuple[str, list[str]]:
    """The name in a key and its conditions, as they were written (keys are percent-encoded).

    >>> key_words("optimizer=adam/learning_rate")
    ('learning_rate', ['optimizer=adam'])
    """
    *conditions, name = key.split("/")
    return name, [unquote(condition).replace("|", " or ") for condition in conditions]


def count(number: int, noun: str) -> str:
    """`1 trial`, `1,500 trials`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def several(number: int, noun: str) -> str:
    """`1 study`, `3 studies`; for words that may end in a y."""
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") and number != 1 else count(number, noun)


def objective_title(objective: Objective, *, log: bool) -> str:
    """`valid/error ↓ better`, the scale named where it is not linear."""
    return f"{plain(objective.metric, limit=AXIS_LETTERS)}{' (log)' if log else ''} {better(objective)}"


def better(objective: Objective) -> str:
    return "↓ better" if objective.direction == "minimize" else "↑ better"

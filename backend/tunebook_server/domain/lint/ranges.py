"""Ranges that hide the answer: linear where log is meant, or too narrow to show a trend."""

from collections.abc import Iterator

import numpy as np

from tunebook_server.domain.changes import Mend, Range, Rescale, Vary
from tunebook_server.domain.hyperparameter import Float, Integer
from tunebook_server.domain.hyperparameter_names import LOGARITHMIC, NEAR_ONE
from tunebook_server.domain.lint.advice import Advice
from tunebook_server.domain.lint.decades import outwards
from tunebook_server.domain.lint.reading import Entry, entries, exploits
from tunebook_server.domain.study import StudyDesign

RULE = "range_scale"
SOURCE = (
    "Deep Learning Tuning Playbook, “Identifying bad search space boundaries” and “How should Adam's"
    " hyperparameters be tuned?”"
)
DECADE = 10.0
"""Least ratio of the ends in exploration."""
SPAN = 1_000.0
"""Ratio of the ends of a range that began at 0 and gets a log scale: our choice, three decades."""
NEAREST = 1e-3
"""Least distance from 1 of a momentum that is searched, our choice."""
POINTS = 5
"""Momenta that stand for a range, evenly on the log scale of 1 − momentum."""


def check(design: StudyDesign) -> Iterator[Advice]:
    exploring = not exploits(design)
    for entry in entries(design):
        parameter = entry.parameter
        if not isinstance(parameter, Float | Integer) or not entry.varied:
            continue
        if entry.kind in NEAR_ONE and isinstance(parameter, Float):
            yield from _near_one(entry, parameter)
        elif entry.kind in LOGARITHMIC and parameter.scale == "linear" and parameter.high > 0:
            yield _linear(entry, parameter, widen=exploring)
        elif isinstance(parameter, Float) and parameter.scale == "log" and exploring:
            yield from _narrow(entry, parameter)


def _linear(entry: Entry, parameter: Float | Integer, *, widen: bool) -> Advice:
    low, high = _on_log(parameter, widen=widen)
    changes: tuple[Mend, ...] = (Rescale(entry.key, "log"),)
    if (low, high) != (parameter.low, parameter.high):
        changes = (Range(entry.key, low, high), *changes)
    between = f"between {low:g} and {high:g} " if len(changes) > 1 else ""
    return Advice(
        rule=RULE,
        sentence=f"{entry.name} is searched on a linear scale.",
        reason="Its effect goes by factors: on a linear scale nine trials of ten fall into the uppermost"
        " decade.",
        source=SOURCE,
        field=entry.field("scale"),
        title=f"Search {entry.name} {between}on the log scale",
        changes=changes,
        key=entry.key,
    )


def _on_log(parameter: Float | Integer, *, widen: bool) -> tuple[float, float]:
    low, high = float(parameter.low), float(parameter.high)
    if isinstance(parameter, Integer):
        return max(low, 1.0), max(high, 2.0)
    if low <= 0:
        low, high = outwards(high / SPAN, high)
    if widen and high / low < DECADE:
        low, high = _widened(low, high)
    return low, high


def _narrow(entry: Entry, parameter: Float) -> Iterator[Advice]:
    if parameter.high / parameter.low >= DECADE:
        return
    low, high = _widened(parameter.low, parameter.high)
    yield Advice(
        rule=RULE,
        sentence=f"{entry.name} is searched over less than one decade.",
        reason="Exploration looks for where the good values are: a narrow range most likely has its best"
        " at an edge,"
        " and cannot show where training fails.",
        source=SOURCE,
        field=entry.field("low"),
        title=f"Widen {entry.name} to {low:g} … {high:g}",
        changes=(Range(entry.key, low, high),),
        key=entry.key,
    )


def _widened(low: float, high: float) -> tuple[float, float]:
    """By half a decade to each side."""
    return outwards(low / DECADE**0.5, high * DECADE**0.5)


def _near_one(entry: Entry, parameter: Float) -> Iterator[Advice]:
    """A linear range that spans a decade of the distance from 1."""
    if not (0 <= parameter.low < 1 and parameter.high <= 1):
        return
    far, near = 1 - parameter.low, max(1 - parameter.high, NEAREST)
    if far / near < DECADE:
        return
    choices = [float(f"{1 - distance:.4g}") for distance in np.geomspace(far, near, POINTS)]
    present = parameter.document()
    kept: dict[str, object] = {name: present[name] for name in ("name", "role", "when") if name in present}
    yield Advice(
        rule=RULE,
        sentence=f"{entry.name} is searched evenly, and what counts is its distance from 1.",
        reason=f"From {parameter.low:g} to {parameter.high:g} the distance 1 − {entry.name} spans a"
        f" decade or more;"
        " evenly spread, few trials come close to 1, where the values differ most.",
        source=SOURCE,
        field=entry.field("scale"),
        title=f"Try {', '.join(f'{choice:g}' for choice in choices)}",
        changes=(Vary({**kept, "type": "categorical", "choices": list(dict.fromkeys(choices))}),),
        key=entry.key,
    )

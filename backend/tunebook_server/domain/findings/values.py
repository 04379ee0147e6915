"""The values of a hyperparameter that trials are counted by: its choices, or equal buckets of its range."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, log

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.changes import Change, Choices, Fix
from tunebook_server.domain.document import value_text
from tunebook_server.domain.hyperparameter import along
from tunebook_server.domain.search_space import Boolean, Categorical, Float, Integer, Searched
from tunebook_server.domain.trial import Value
from tunebook_server.domain.trial_columns import choices

VALUES_MOST = 10  # of a number: more are put into buckets
BUCKETS = 5


@dataclass(frozen=True, slots=True)
class Group:
    """One value, or the numbers from `low` to `high`; `share` of the range, by which Halton and random
    search draw it."""

    name: str
    share: float
    value: Value | None = None
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Grouped:
    """`places`: the group of each trial, -1 for none (inactive, or a value that is not searched)."""

    groups: tuple[Group, ...]
    places: NDArray[np.intp]

    def counts(self, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(self.places[among & (self.places >= 0)], minlength=len(self.groups))


def group(parameter: Searched, column: NDArray[np.float64], counted: NDArray[np.bool_]) -> Grouped:
    """`column`: the values as in `TrialColumns.values`; `counted`: the trials that decide whether a number
    has few values, as on a grid, each of which is a group."""
    if not isinstance(parameter, Float | Integer):
        names = choices(parameter)
        groups = tuple(Group(value_text(value), 1 / len(names), value) for value in names)
        return Grouped(groups, np.where(np.isfinite(column), column, -1).astype(np.intp))
    inside = np.isfinite(column) & (column >= parameter.low) & (column <= parameter.high)
    found = np.unique(column[inside & counted])
    if 2 <= len(found) <= VALUES_MOST and 2 * len(found) <= int((inside & counted).sum()):
        return _by_value(parameter, column, inside, found)
    if isinstance(parameter, Integer) and parameter.high - parameter.low < VALUES_MOST:
        every = np.arange(parameter.low, parameter.high + 1, dtype=float)
        return _by_value(parameter, column, inside, every)
    return _by_bucket(parameter, column, inside)


def among(key: str, parameter: Searched, values: Sequence[Value]) -> Change:
    """Searches these values only; a single one is held."""
    if len(values) == 1:
        return Fix(key, values[0])
    assert isinstance(parameter, Categorical | Boolean)
    return Choices(key, tuple(values))


def _by_value(
    parameter: Float | Integer,
    column: NDArray[np.float64],
    inside: NDArray[np.bool_],
    values: NDArray[np.float64],
) -> Grouped:
    places = np.clip(np.searchsorted(values, column), 0, len(values) - 1)
    known = inside & (values[places] == column)
    return Grouped(
        tuple(_single(parameter, value, len(values)) for value in values.tolist()),
        np.where(known, places, -1),
    )


def _single(parameter: Float | Integer, value: float, count: int) -> Group:
    if isinstance(parameter, Integer):
        return Group(str(int(value)), _width(parameter, value - 0.5, value + 0.5), int(value), value, value)
    return Group(f"{value:.4g}", 1 / count, value, value, value)


def _by_bucket(parameter: Float | Integer, column: NDArray[np.float64], inside: NDArray[np.bool_]) -> Grouped:
    low, high = _ends(parameter)
    edges = [along(place / BUCKETS, low, high, parameter.scale) for place in range(BUCKETS + 1)]
    if isinstance(parameter, Integer):  # between whole numbers
        edges = sorted({low, high, *(floor(edge) + 0.5 for edge in edges[1:-1])})
    places = np.clip(np.searchsorted(edges, column, side="right") - 1, 0, len(edges) - 2)
    return Grouped(
        tuple(_bucket(parameter, start, end) for start, end in pairwise(edges)), np.where(inside, places, -1)
    )


def _bucket(parameter: Float | Integer, start: float, end: float) -> Group:
    share = _width(parameter, start, end)
    if not isinstance(parameter, Integer):
        return Group(f"{start:.4g} … {end:.4g}", share, low=start, high=end)
    low, high = start + 0.5, end - 0.5
    if low == high:
        return _single(parameter, low, 1)
    return Group(f"{int(low)} … {int(high)}", share, low=low, high=high)


def _ends(parameter: Float | Integer) -> tuple[float, float]:
    half = 0.5 if isinstance(parameter, Integer) else 0.0
    return parameter.low - half, parameter.high + half


def _width(parameter: Float | Integer, start: float, end: float) -> float:
    low, high = _ends(parameter)
    if parameter.scale == "log":
        low, high, start, end = (log(x) for x in (low, high, start, end))
    return (end - start) / (high - low)

"""A search space as the columns that a model sees, for many points of the unit cube at once."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.conditions import Node
from tunebook_server.domain.hyperparameter import Boolean, Categorical, Fixed, Float, Integer, Searched
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Value

Points = NDArray[np.float64]
"""Shape (n, D): places in the unit cube, NaN where a dimension is inactive."""


@dataclass(frozen=True)
class Condition:
    """A dimension is active where the dimension `parent` is, and holds one of `units` (within `margin`)."""

    dimension: int
    parent: int
    units: NDArray[np.float64]
    margin: float


@dataclass(frozen=True)
class Columns:
    """`cells`: how many values a dimension has, 0 for a float; `nominal`: its values have no order."""

    space: SearchSpace
    cells: NDArray[np.float64]
    nominal: NDArray[np.bool_]
    conditions: tuple[Condition, ...]
    never: tuple[int, ...]
    """Dimensions below a fixed value that does not activate them."""

    def settle(self, points: Points) -> Points:
        """What will really run: values of finite kinds in the middle of their share, NaN where inactive."""
        settled = np.array(points, dtype=np.float64)
        counted = np.flatnonzero(self.cells > 0)
        cells = self.cells[counted]
        settled[:, counted] = (np.clip(np.floor(settled[:, counted] * cells), 0, cells - 1) + 0.5) / cells
        for dimension, parameter in self._logarithmic():
            settled[:, dimension] = _settle_integers(settled[:, dimension], parameter)
        settled[:, list(self.never)] = np.nan
        for condition in self.conditions:
            parent = settled[:, condition.parent, None]
            held = (np.abs(parent - condition.units) < condition.margin).any(axis=1)
            settled[~held, condition.dimension] = np.nan
        return settled

    def _logarithmic(self) -> list[tuple[int, Integer]]:
        return [
            (place, each)
            for place, each in enumerate(self.space.dimensions)
            if isinstance(each, Integer) and each.scale == "log"
        ]


@lru_cache(maxsize=64)
def columns(space: SearchSpace) -> Columns:
    dimensions = space.dimensions
    cells = [_cells(each) for each in dimensions]
    nominal = [isinstance(each, Categorical | Boolean) for each in dimensions]
    conditions, never = [], list[int]()
    for node in space.nodes:
        if node.dimension is None or node.parent is None:
            continue
        values, parent = _searched_parent(space, node)
        if not values:
            never.append(node.dimension)
        elif parent is not None:
            conditions.append(_condition(node.dimension, parent, values))
    return Columns(space, np.array(cells, float), np.array(nominal, bool), tuple(conditions), tuple(never))


def _searched_parent(space: SearchSpace, node: Node) -> tuple[frozenset[Value], Node | None]:
    """The first ancestor that is not fixed and the values that it must hold: none where a fixed one between
    holds another value. Without such an ancestor: any values."""
    values, place = node.allowed, node.parent
    while place is not None:
        above = space.nodes[place]
        if not isinstance(above.parameter, Fixed):
            return values, above
        if above.parameter.value not in values:
            return frozenset(), None
        values, place = above.allowed, above.parent
    return frozenset({True}), None


def _cells(parameter: Searched) -> int:
    """0 for a float, and for integers on a log scale, whose shares differ."""
    if isinstance(parameter, Float) or (isinstance(parameter, Integer) and parameter.scale == "log"):
        return 0
    return parameter.size or 0


def _settle_integers(units: NDArray[np.float64], parameter: Integer) -> NDArray[np.float64]:
    """`to_unit(from_unit(u))` of an integer on a log scale, for many."""
    low, high = np.log(parameter.low - 0.5), np.log(parameter.high + 0.5)
    values = np.floor(np.exp(low + np.clip(units, 0, 1) * (high - low)) + 0.5)
    values = np.clip(values, parameter.low, parameter.high)
    lower, upper = ((np.log(values + half) - low) / (high - low) for half in (-0.5, 0.5))
    settled: NDArray[np.float64] = (lower + upper) / 2
    return settled


def _condition(dimension: int, parent: Node, values: frozenset[Value]) -> Condition:
    above = parent.parameter
    assert isinstance(above, Integer | Categorical | Boolean)
    assert parent.dimension is not None
    units = np.array(sorted(above.to_unit(value) for value in values), float)
    widths = [0.5 / (above.size or 1)]
    if isinstance(above, Integer) and above.scale == "log":
        widths = [_half_share(above, int(value)) for value in values]
    return Condition(dimension, parent.dimension, units, 0.5 * min(widths))


def _half_share(parameter: Integer, value: int) -> float:
    whole = np.log((parameter.high + 0.5) / (parameter.low - 0.5))
    return float(np.log((value + 0.5) / (value - 0.5)) / whole) / 2

"""Every combination of a few values a hyperparameter, each active configuration once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from tunebook_server.domain.document import Document, as_integer, close_to, refuse, show
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.hyperparameter import Boolean, Categorical, Float, Hyperparameter, Integer, along
from tunebook_server.domain.option import Option
from tunebook_server.domain.samplers.history import History
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration, Value

OPTION = "points_per_dimension"
POINTS = 5
"""Points on a float or integer axis where the options name none."""
POINTS_MOST = 1000
CONFIGURATIONS_MOST = 1_000_000
DIMENSIONS_FINE = 4
"""Above it a grid explodes (Deep Learning Tuning Playbook: quasi-random search instead)."""


@dataclass(frozen=True)
class Grid:
    """`points`: for every float and integer axis, by key; `others` for axes that it does not name. A
    categorical or boolean axis has all of its values, an integer axis at most all of them. An axis of two
    points or more has both ends of the range."""

    points: Mapping[str, int] = field(default_factory=dict)
    others: int = POINTS

    learns: ClassVar[bool] = False
    options: ClassVar[tuple[Option, ...]] = (Option(OPTION, "Points on each axis of numbers", POINTS),)

    @classmethod
    def parse(cls, options: Document) -> "Grid":
        options.only(OPTION)
        given = options.get(OPTION)
        if OPTION not in options:
            return cls()
        if not isinstance(given, Mapping):
            return cls(others=options.integer(OPTION, low=1, high=POINTS_MOST))
        points: dict[str, int] = {}
        for key, value in given.items():
            number = as_integer(value)
            if not isinstance(key, str) or number is None or not 1 <= number <= POINTS_MOST:
                remedy = f"Give a whole number from 1 to {POINTS_MOST} for a key of the space."
                options.fault(OPTION, f"has {show(value)} for {show(key)}", remedy)
            else:
                points[key] = number
        return cls(points)

    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        """In reading order, the last hyperparameter changing fastest, whatever the seed."""
        combinations = self._combinations(space)
        return [combinations.at(rank) for rank in range(index, min(index + count, combinations.total))]

    def size(self, space: SearchSpace) -> int | None:
        return self._combinations(space).total

    def check(self, space: SearchSpace) -> None:
        path = f"sampler.options.{OPTION}"
        axes = [key for key, each in zip(space.keys, space.parameters, strict=True) if _is_axis(each)]
        faults = []
        for key in self.points:
            if key not in axes:
                problem = f"{OPTION} names {show(key)}, which is no float or integer of the space"
                known = f"Keys that take a number of points: {', '.join(axes[:20]) or 'none'}."
                faults.append(Fault(path, problem, close_to(key, axes) + known))
        total = self._combinations(space).total
        if total > CONFIGURATIONS_MOST:
            problem = f"the grid has {_round(total)} configurations, above {CONFIGURATIONS_MOST}"
            faults.append(Fault(path, problem, "Use fewer points, or the halton sampler."))
        refuse(faults)

    def warnings(self, space: SearchSpace) -> tuple[Fault, ...]:
        dimensions = _most_active(space)
        if dimensions <= DIMENSIONS_FINE:
            return ()
        total = self._combinations(space).total
        problem = f"a grid over {dimensions} dimensions has {_round(total)} configurations"
        remedy = f"Above {DIMENSIONS_FINE} dimensions use halton: it covers each of them with any budget."
        return (Fault("sampler.name", problem, remedy),)

    def _combinations(self, space: SearchSpace) -> "Combinations":
        values = [
            _values(each, self.points.get(key, self.others))
            for key, each in zip(space.keys, space.parameters, strict=True)
        ]
        return Combinations(space, values)


class Combinations:
    """Counts and numbers the active configurations of a tree without listing them.

    `weights[i][v]`: configurations of everything below hyperparameter i once it holds its v-th value.
    """

    def __init__(self, space: SearchSpace, values: Sequence[Sequence[Value]]) -> None:
        self.space = space
        self.values = values
        self.children: list[list[int]] = [[] for _ in values]
        self.roots = [place for place, node in enumerate(space.nodes) if node.parent is None]
        self.weights: list[list[int]] = [[1] * len(each) for each in values]
        self.totals = [0] * len(values)
        for place in reversed(range(len(values))):
            self.totals[place] = sum(self.weights[place])
            node = space.nodes[place]
            if node.parent is None:
                continue
            self.children[node.parent].insert(0, place)
            for at, value in enumerate(values[node.parent]):
                if value in node.allowed:
                    self.weights[node.parent][at] *= self.totals[place]
        self.total = math.prod(self.totals[place] for place in self.roots)

    def at(self, rank: int) -> dict[str, Value]:
        """The configuration of this rank, 0 ≤ rank < total."""
        ranks = self._split(rank, self.roots)
        configuration: dict[str, Value] = {}
        for place, node in enumerate(self.space.nodes):
            if place not in ranks:
                continue
            rest, chosen = ranks[place], 0
            while rest >= self.weights[place][chosen]:
                rest -= self.weights[place][chosen]
                chosen += 1
            value = self.values[place][chosen]
            configuration[node.parameter.name] = value
            below = [each for each in self.children[place] if value in self.space.nodes[each].allowed]
            ranks.update(self._split(rest, below))
        return configuration

    def _split(self, rank: int, places: Sequence[int]) -> dict[int, int]:
        """One rank over several independent hyperparameters, the last changing fastest."""
        ranks = {}
        for place in reversed(places):
            rank, ranks[place] = divmod(rank, self.totals[place])
        return ranks


def _is_axis(parameter: Hyperparameter) -> bool:
    return isinstance(parameter, Float | Integer)


def _values(parameter: Hyperparameter, points: int) -> Sequence[Value]:
    match parameter:
        case Categorical():
            return parameter.choices
        case Boolean():
            return (False, True)
        case Float():
            return tuple(dict.fromkeys(_readable(value, parameter) for value in _spread(parameter, points)))
        case Integer():
            if parameter.high - parameter.low < points:
                return range(parameter.low, parameter.high + 1)
            return tuple(dict.fromkeys(round(value) for value in _spread(parameter, points)))
    return (parameter.value,)


def _spread(axis: Float | Integer, points: int) -> list[float]:
    """Points from end to end at equal distance on the scale; the middle for a single one."""
    units = [0.5] if points == 1 else [place / (points - 1) for place in range(points)]
    return [along(unit, axis.low, axis.high, axis.scale) for unit in units]


def _readable(value: float, axis: Float) -> float:
    """To 12 digits, so that a grid on decades says 0.001 and not 0.0010000000000000002."""
    return min(max(float(f"{value:.12g}"), axis.low), axis.high)


def _most_active(space: SearchSpace) -> int:
    """The largest number of varied hyperparameters that a configuration can have."""
    below: list[dict[Value | None, int]] = [{} for _ in space.nodes]
    most = 0
    for place in reversed(range(len(space.nodes))):
        node = space.nodes[place]
        height = int(node.parameter.size != 1) + max(below[place].values(), default=0)
        if node.parent is None:
            most += height
            continue
        for value in node.allowed:
            above = below[node.parent]
            above[value] = above.get(value, 0) + height
    return most


def _round(number: int) -> str:
    return str(number) if number < 10**9 else f"about 10^{len(str(number)) - 1}"

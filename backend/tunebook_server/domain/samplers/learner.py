"""What samplers share that learn: quasi-random trials first, then suggestions of a model, one by one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.document import Document, as_integer
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.option import Option
from tunebook_server.domain.samplers import trade_offs
from tunebook_server.domain.samplers.columns import Columns, columns
from tunebook_server.domain.samplers.endless import Endless
from tunebook_server.domain.samplers.halton import halton_points
from tunebook_server.domain.samplers.history import History, nothing
from tunebook_server.domain.samplers.proposals import names, unseen
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study_limits import ID_HIGHEST
from tunebook_server.domain.trial import Configuration

Point = NDArray[np.float64]
"""Shape (D,), settled: see `columns.Points`."""


class Model(Protocol):
    """Of a history; it holds nothing that another process could not compute."""

    def best(self, place: int, chance: np.random.SeedSequence, seen: set[bytes]) -> Point | None:
        """The point that promises most and that nobody has `seen`; None where there is none."""

    def expecting(self, point: Point) -> "Model":
        """With one more pending trial."""


STUDIES_MOST = 10
BEHIND, LOOKED_AT = 2**32, 512
"""Where other points are looked for instead of one that was tried, and how many of them."""


@dataclass(frozen=True)
class Learner(Endless, ABC):
    """`warm_start`: ids of earlier studies of the project, whose trials it learns from, too; `trade_offs`:
    metrics beside the objective, of which it looks for the Pareto front."""

    warm_start: tuple[int, ...] = ()
    trade_offs: tuple[Objective, ...] = ()

    learns: ClassVar[bool] = True
    options: ClassVar[tuple[Option, ...]] = (
        Option("warm_start", "Numbers of earlier studies to learn from", "", many=True),
        Option("trade_offs", "Metrics beside the objective, as a JSON list of objects", ""),
    )
    stream: ClassVar[int]
    """Keeps its random numbers apart from those of other samplers with the same seed."""
    modelled_most: ClassVar[int] = 256
    """Suggestions of one call that look at the model; more are quasi-random."""

    @classmethod
    def parse(cls, options: Document) -> Self:
        options.only("warm_start", "trade_offs")
        return cls(_studies(options), trade_offs.read(options))

    def view(self, history: History, place: int, seed: int) -> History:
        """What it learns from: of several losses one, another weighting of them for each place."""
        return trade_offs.weighted(history, place, seed)

    @abstractmethod
    def learn(self, shape: Columns, history: History, seed: int) -> Model | None:
        """None where there is nothing to learn from yet."""

    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        history = history or nothing(len(space.dimensions))
        shape, seen, found = columns(space), set(names(history.points)), list[Configuration]()
        first, model = quasi_random_first(space) - history.known, None
        for place in range(index, index + count):
            anew = history.others is not None and place > first and len(found) < self.modelled_most
            if anew or place == max(first, index, 0):
                model = self.learn(shape, self.view(history, place, seed), seed)
            point, chance = None, np.random.SeedSequence(seed, spawn_key=(self.stream, place))
            if model is not None and len(found) < self.modelled_most:
                point = model.best(place, chance, seen)
            if point is None:
                point = _quasi_random(shape, seed, place, seen)
            seen.update(names(point[None]))
            if model is None or history.others is not None:
                history = history.with_pending(point)
            else:
                model = model.expecting(point)
            found.append(space.from_unit(np.nan_to_num(point, nan=0.5)))
        return found


def _quasi_random(shape: Columns, seed: int, place: int, seen: set[bytes]) -> Point:
    """Of this place; where it has been seen the first of the places far behind that has not, if any."""
    dimensions = len(shape.cells)
    own = shape.settle(halton_points(dimensions, seed=seed, index=place, count=1))
    if len(unseen(own, seen)):
        return np.asarray(own[0])
    behind = halton_points(dimensions, seed=seed, index=BEHIND + place * LOOKED_AT, count=LOOKED_AT)
    fresh = unseen(shape.settle(behind), seen)
    return np.asarray(fresh[0] if len(fresh) else own[0])


def _studies(options: Document) -> tuple[int, ...]:
    if "warm_start" not in options or options.get("warm_start") in ([], ()):
        return ()
    ids = [as_integer(value) for value in options.items("warm_start", most=STUDIES_MOST)]
    if any(each is None or not 1 <= each <= ID_HIGHEST for each in ids):
        options.fault("warm_start", "has something that is no study", "Give numbers of earlier studies.")
    return tuple(dict.fromkeys(each for each in ids if each is not None))


def quasi_random_first(space: SearchSpace) -> int:
    """How many trials come before any model."""
    return max(5, min(2 * len(space.varied), 10))

"""What samplers share that learn: quasi-random trials first, then suggestions of a model, one by one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.samplers.columns import Columns, columns
from tunebook_server.domain.samplers.endless import Endless
from tunebook_server.domain.samplers.halton import halton_points
from tunebook_server.domain.samplers.history import History, nothing
from tunebook_server.domain.samplers.proposals import names
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

Point = NDArray[np.float64]
"""Shape (D,), settled: see `columns.Points`."""


class Model(Protocol):
    """Of a history; it holds nothing that another process could not compute."""

    def best(self, place: int, chance: np.random.SeedSequence, seen: set[bytes]) -> Point | None:
        """The point that promises most and that nobody has `seen`; None where there is none."""

    def expecting(self, point: Point) -> "Model":
        """With one more pending trial."""


@dataclass(frozen=True)
class Learner(Endless, ABC):
    learns: ClassVar[bool] = True
    stream: ClassVar[int]
    """Keeps its random numbers apart from those of other samplers with the same seed."""
    modelled_most: ClassVar[int] = 256
    """Suggestions of one call that look at the model; more are quasi-random."""

    @abstractmethod
    def learn(self, shape: Columns, history: History, seed: int) -> Model | None:
        """None where there is nothing to learn from yet."""

    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        history = history or nothing(len(space.dimensions))
        shape, seen, found = columns(space), set(names(history.points)), list[Configuration]()
        first, model = quasi_random_first(space), None
        for place in range(index, index + count):
            if place == max(first, index):
                model = self.learn(shape, history, seed)
            point = None
            if model is not None and len(found) < self.modelled_most:
                chance = np.random.SeedSequence(seed, spawn_key=(self.stream, place))
                point = model.best(place, chance, seen)
            if point is None:
                point = shape.settle(halton_points(len(space.dimensions), seed=seed, index=place, count=1))[0]
            seen.update(names(point[None]))
            if model is None:
                history = history.with_pending(point)
            else:
                model = model.expecting(point)
            found.append(space.from_unit(np.nan_to_num(point, nan=0.5)))
        return found


def quasi_random_first(space: SearchSpace) -> int:
    """How many trials come before any model."""
    return max(5, min(2 * len(space.varied), 10))

"""CMA-ES (Hansen, "The CMA evolution strategy: a tutorial", 2016) by the package `cmaes`, on the unit cube.

It ranks, so losses need no scale, and infeasible trials are simply the worst. Whenever as many trials have
ended as a population has, they are told as one generation, wherever they came from: the history alone says
where the search stands. One that has settled starts again with twice the population (Auger & Hansen, "A
restart CMA evolution strategy with increasing population size", 2005). Integers and categories are cut out of
the cube: with many categories, Bayesian optimisation or TPE sees more.
"""

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.samplers.bayesian import quasi_random_first
from tunebook_server.domain.samplers.columns import Points, columns
from tunebook_server.domain.samplers.halton import halton_points
from tunebook_server.domain.samplers.history import Fate, History, nothing
from tunebook_server.domain.samplers.proposals import names
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

if TYPE_CHECKING:
    from cmaes import CMA

Array = NDArray[np.float64]

STREAM = 5
STEP = 0.25
"""The first standard deviation, as a share of each range."""
TRIES = 20
"""Draws for a configuration that no trial has; then a repetition will do."""


@dataclass(frozen=True)
class CmaEs:
    learns: ClassVar[bool] = True

    @classmethod
    def parse(cls, options: Document) -> "CmaEs":
        options.only()
        return cls()

    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        history = history or nothing(len(space.dimensions))
        shape, seen, found = columns(space), set(names(history.points)), list[Configuration]()
        first = quasi_random_first(space)
        search = evolved(history, first, seed) if space.dimensions and history.valued.sum() >= 2 else None
        for place in range(index, index + count):
            if place < first or search is None:
                cube = halton_points(len(space.dimensions), seed=seed, index=place, count=1)
            else:
                cube = _drawn(search, np.random.SeedSequence(seed, spawn_key=(STREAM, place)))
            settled = shape.settle(cube)
            fresh = [n for n, name in enumerate(names(settled)) if name not in seen]
            point = settled[fresh[0] if fresh else 0]
            seen.update(names(point[None]))
            found.append(space.from_unit(np.nan_to_num(point, nan=0.5)))
        return found

    def size(self, space: SearchSpace) -> int | None:
        return None

    def check(self, space: SearchSpace) -> None:
        """Fits every space."""

    def warnings(self, space: SearchSpace) -> tuple[Fault, ...]:
        return ()


def evolved(history: History, first: int, seed: int) -> "CMA":
    """Where the search stands. The first trials are its start: it begins at the best of them."""
    ended = np.flatnonzero(history.of(Fate.FINISHED, Fate.STOPPED, Fate.INFEASIBLE))
    losses = np.where(history.valued, history.losses, np.inf)[ended]
    points = np.clip(history.points[ended], 0.0, 1.0)
    start, told = points[:first], first
    best = start[np.argmin(losses[:first])] if len(start) else np.full(points.shape[1], 0.5)
    steps = [np.nan_to_num(best, nan=0.5).tobytes(), seed.to_bytes(8, "big")]
    return SEARCHES.follow(steps, points[told:], losses[told:], np.nan_to_num(best, nan=0.5))


class Searches:
    """Searches as they stood after each of the last generations, under all that they were told: each is the
    same in every process, and one more generation costs one step."""

    MOST = 128

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[bytes, tuple[CMA, int]] = OrderedDict()

    def follow(self, begin: Sequence[bytes], points: Points, losses: Array, mean: Array) -> "CMA":
        digest = hashlib.blake2b(b"".join(begin), digest_size=16)
        search, restarts, at = _start(mean, 0), 0, 0
        while at + search.population_size <= len(losses):
            until = at + search.population_size
            digest.update(points[at:until].tobytes() + losses[at:until].tobytes())
            kept = self._find(digest.digest())
            if kept is None:
                search, restarts = _told(search, restarts, points[at:until], losses[at:until])
                self._keep(digest.digest(), search, restarts)
            else:
                search, restarts = kept
            at = until
        return search

    def _find(self, key: bytes) -> "tuple[CMA, int] | None":
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: bytes, search: "CMA", restarts: int) -> None:
        with self._lock:
            self._kept[key] = (search, restarts)
            while len(self._kept) > self.MOST:
                self._kept.popitem(last=False)


def _start(mean: Array, restarts: int) -> "CMA":
    from cmaes import CMA

    bounds = np.tile([0.0, 1.0], (len(mean), 1))
    usual = 4 + int(3 * np.log(len(mean)))
    return CMA(mean.copy(), STEP, bounds=bounds, seed=0, population_size=usual * 2**restarts)


def _told(search: "CMA", restarts: int, points: Points, losses: Array) -> "tuple[CMA, int]":
    """One generation later. Losses go by their ranks, which no magnitude can harm."""
    after = copy.deepcopy(search)
    ranks = np.argsort(np.argsort(losses, kind="stable"), kind="stable")
    inactive = np.where(np.isnan(points), after.mean, points)
    after.tell([(point, float(rank)) for point, rank in zip(inactive, ranks, strict=True)])
    if not after.should_stop():
        return after, restarts
    fresh = halton_points(points.shape[1], seed=restarts + 1, index=restarts, count=1)[0]
    return _start(fresh, restarts + 1), restarts + 1


def _drawn(search: "CMA", chance: np.random.SeedSequence) -> Points:
    """Some points of the present distribution."""
    ours = copy.deepcopy(search)
    ours.reseed_rng(int(chance.generate_state(1)[0]))
    return np.array([ours.ask() for _ in range(TRIES)]).clip(0.0, np.nextafter(1.0, 0.0))


SEARCHES = Searches()

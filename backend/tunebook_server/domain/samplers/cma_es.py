"""CMA-ES (Hansen, "The CMA evolution strategy: a tutorial", 2016) by the package `cmaes`, on the unit cube.

It ranks, so losses need no scale, and infeasible trials are simply the worst. Whenever as many trials have
ended as a population has, they are told as one generation, wherever they came from: the history alone says
where the search stands. One that has settled starts again with twice the population (Auger & Hansen, "A
restart CMA evolution strategy with increasing population size", 2005). Integers and categories are cut out of
the cube: with many categories, Bayesian optimisation or TPE sees more.
"""

import copy
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.samplers.columns import Columns, Points
from tunebook_server.domain.samplers.halton import halton_points
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.samplers.learner import Learner, Model, Point, quasi_random_first
from tunebook_server.domain.samplers.memo import Memo
from tunebook_server.domain.samplers.proposals import unseen

if TYPE_CHECKING:
    from cmaes import CMA

Array = NDArray[np.float64]

STEP = 0.25
"""The first standard deviation, as a share of each range."""
SEARCHES_KEPT = 3
"""Of the last generations: a replay must not crowd out those of other studies."""
TRIES = 20
"""Draws for a configuration that no trial has."""


class CmaEs(Learner):
    stream = 5

    def learn(self, shape: Columns, history: History, seed: int) -> Model | None:
        if not len(shape.cells) or history.valued.sum() < 2:
            return None
        return Evolution(shape, evolved(history, quasi_random_first(shape.space)))


@dataclass(frozen=True)
class Evolution:
    """Pending trials do not change a distribution."""

    shape: Columns
    search: "CMA"

    def best(self, place: int, chance: np.random.SeedSequence, seen: set[bytes]) -> Point | None:
        """The first of some draws that nobody has seen."""
        fresh = unseen(self.shape.settle(_drawn(self.search, chance)), seen)
        return fresh[0] if len(fresh) else None

    def expecting(self, point: Point) -> "Evolution":
        return self


def evolved(history: History, first: int) -> "CMA":
    """Where the search stands. The first trials are its start: it begins at the best of them."""
    ended = np.flatnonzero(history.of(Fate.FINISHED, Fate.STOPPED, Fate.INFEASIBLE))
    losses = np.where(history.valued, history.losses, np.inf)[ended]
    points = np.clip(history.points[ended], 0.0, 1.0)
    start = points[:first]
    best = start[np.argmin(losses[:first])] if len(start) else np.full(points.shape[1], 0.5)
    mean = np.nan_to_num(best, nan=0.5)
    return _followed(mean, np.column_stack([points, losses])[first:])


def _followed(mean: Array, rows: Array) -> "CMA":
    """`rows`: points and, last, their losses. Begins at the latest generation that is kept, under the digest
    of all that was told up to it: it is the same in every process."""
    search, restarts, told = _start(mean, 0), 0, 0
    begin, chain = mean.tobytes(), hashlib.blake2b(mean.tobytes(), digest_size=16)
    until: int = 0
    size: int | None = search.population_size
    while size is not None and until + size <= len(rows):
        chain.update(rows[until : until + size].tobytes())
        until, size = until + size, _SIZES.get(chain.digest())
        kept = _SEARCHES.get(chain.digest())
        if kept is not None:
            (search, restarts), told = kept, until
    chain = hashlib.blake2b(begin + rows[:told].tobytes(), digest_size=16)
    while told + search.population_size <= len(rows):
        block = rows[told : told + search.population_size]
        search, restarts = _told(search, restarts, block[:, :-1], block[:, -1])
        told += len(block)
        chain.update(block.tobytes())
        if told + SEARCHES_KEPT * search.population_size > len(rows):
            _SEARCHES.put(chain.digest(), (search, restarts))
        _SIZES.put(chain.digest(), search.population_size)
    return search


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


_SEARCHES: "Memo[tuple[CMA, int]]" = Memo(64)
"""The last generations, and how many restarts came before."""
_SIZES: Memo[int] = Memo(20_000)
"""Of the population after each generation, for all of them: what the next one begins with."""

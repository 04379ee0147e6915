"""Tree-structured Parzen estimator: points that are likely among the good ones and unlikely among the others.

Bergstra et al., "Algorithms for hyper-parameter optimization", 2011; one density over all dimensions at
once, as in Falkner et al., "BOHB", 2018. Infeasible and pending trials belong to the others, so that
infeasible regions are left and no point is tried twice at the same time.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr, ndtri

from tunebook_server.domain.samplers.columns import Columns, Points
from tunebook_server.domain.samplers.history import Fate, History, thinned
from tunebook_server.domain.samplers.learner import Learner, Model, Point
from tunebook_server.domain.samplers.proposals import unseen

Array = NDArray[np.float64]

GOOD_SHARE, GOOD_MOST = 0.1, 25
OTHERS_MOST = 1000
CANDIDATES = 64


class Tpe(Learner):
    stream = 4

    def learn(self, shape: Columns, history: History, seed: int) -> Model | None:
        return Parzen(shape, history) if history.valued.sum() > 1 else None


@dataclass(frozen=True)
class Parzen:
    shape: Columns
    history: History

    def best(self, place: int, chance: np.random.SeedSequence, seen: set[bytes]) -> Point | None:
        return best_point(self.shape, self.history, np.random.default_rng(chance), seen)

    def expecting(self, point: Point) -> "Parzen":
        return replace(self, history=self.history.with_pending(point))


def best_point(
    shape: Columns, history: History, chance: np.random.Generator, seen: set[bytes]
) -> Array | None:
    """None where every candidate has been seen."""
    good, others = split(history)
    likely = Density(shape, history.points[good])
    candidates = unseen(shape.settle(likely.draw(chance, CANDIDATES)), seen)
    if not len(candidates):
        return None
    scores = likely.logarithm(candidates) - Density(shape, history.points[others]).logarithm(candidates)
    best: Array = candidates[np.argmax(scores)]
    return best


def split(history: History) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The good trials, and at most `OTHERS_MOST` others."""
    valued = np.flatnonzero(history.valued)
    order = valued[np.argsort(history.losses[valued], kind="stable")]
    good = order[: min(int(np.ceil(GOOD_SHARE * len(order))), GOOD_MOST)]
    others = np.setdiff1d(np.flatnonzero(~history.of(Fate.ASIDE)), good)
    return good, thinned(others, OTHERS_MOST)


class Density:
    """A mixture of one kernel a point, and one that is wide and stands for all that was not seen.

    A kernel is a product over the dimensions that are active in it: a normal cut to [0, 1] on numbers, of
    which integers have the mass of their cell, and on categories mostly the point's own. `widths`: (n + 1,
    D).
    """

    def __init__(self, shape: Columns, points: Points) -> None:
        count, dimensions = points.shape
        self._shape = shape
        wide = np.full((1, dimensions), 0.5)
        self._centres = np.vstack([np.clip(points, 0.0, 1.0), np.where(shape.nominal, np.nan, wide)])
        self._widths = np.vstack([_widths(points, count), np.ones((1, dimensions))])
        self._half_cells = np.where(shape.cells > 0, 0.5 / np.maximum(shape.cells, 1), 0.0)
        self._own = 1.0 - 1.0 / (1.0 + np.sqrt(count))
        """The share of a category's mass that stays with the point's own value; the rest is spread evenly."""

    def logarithm(self, at: Points) -> Array:
        """Up to a constant that is the same for all densities of one space; shape (len(at),)."""
        total = np.zeros((len(at), len(self._centres)))
        for dimension in range(at.shape[1]):
            total += self._one(dimension, at[:, dimension, None])
        found: Array = logsumexp(total, axis=1) - np.log(total.shape[1])
        return found

    def draw(self, chance: np.random.Generator, count: int) -> Points:
        kernels = chance.integers(len(self._centres), size=count)
        centres, widths = self._centres[kernels], self._widths[kernels]
        uniform = chance.random(centres.shape)
        low, high = ndtr((0.0 - centres) / widths), ndtr((1.0 - centres) / widths)
        numbers = centres + widths * ndtri(low + uniform * (high - low))
        own = chance.random(centres.shape) < self._own
        drawn = np.where(self._shape.nominal, np.where(own, centres, uniform), numbers)
        return np.clip(np.where(np.isnan(drawn), uniform, drawn), 0.0, np.nextafter(1.0, 0.0))

    def _one(self, dimension: int, at: Array) -> Array:
        """Of one dimension, in units of the uniform density; 0 where the point or the kernel is inactive."""
        centres, widths = self._centres[:, dimension], self._widths[:, dimension]
        if self._shape.nominal[dimension]:
            cells = self._shape.cells[dimension]
            same = np.log(self._own * cells + 1 - self._own)
            found = np.where(np.abs(at - centres) < 0.5 / cells, same, np.log1p(-self._own))
        else:
            whole = ndtr((1.0 - centres) / widths) - ndtr((0.0 - centres) / widths)
            half = self._half_cells[dimension]
            if half > 0:
                mass = ndtr((at + half - centres) / widths) - ndtr((at - half - centres) / widths)
                found = np.log(np.maximum(mass, 1e-300) / (2 * half * whole))
            else:
                scaled = (at - centres) / widths
                found = -0.5 * scaled**2 - np.log(np.sqrt(2 * np.pi) * widths * whole)
        return np.where(np.isnan(at) | np.isnan(centres), 0.0, found)


def _widths(points: Points, count: int) -> Array:
    """Of each point in each dimension the larger gap to a neighbour or an end, neither needle nor blanket."""
    widths = np.ones_like(points)
    for dimension, column in enumerate(points.T):
        active = np.flatnonzero(~np.isnan(column))
        order = active[np.argsort(column[active], kind="stable")]
        ends = np.concatenate([[0.0], np.clip(column[order], 0.0, 1.0), [1.0]])
        gaps = np.diff(ends)
        widths[order, dimension] = np.maximum(gaps[:-1], gaps[1:])
    return np.clip(widths, 1.0 / min(100, 1 + count), 1.0)

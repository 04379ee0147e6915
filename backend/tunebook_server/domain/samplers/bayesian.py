"""Bayesian optimisation: where a Gaussian process of the loss promises most and one of feasibility allows.

After a few quasi-random trials, each suggestion maximises the logarithm of expected improvement, or in turn
a confidence bound, times the probability of being feasible: infeasible trials teach where not to go and get
no invented loss. Pending trials count as if they had come out as expected. All of it is a function of the
history, the seed and the place; what is kept between calls are fitted kernels, under their data.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.samplers import gaussian_process as gp
from tunebook_server.domain.samplers.acquisition import (
    log_expected_improvement,
    log_optimism,
    log_probability_above,
)
from tunebook_server.domain.samplers.columns import Columns, Points, columns
from tunebook_server.domain.samplers.halton import halton_points
from tunebook_server.domain.samplers.history import Fate, History, nothing
from tunebook_server.domain.samplers.losses import standardised
from tunebook_server.domain.samplers.proposals import everywhere, names, near, unseen
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

STREAM = 3
FIT_POINTS, POINTS_MOST = 200, 500
REFIT_GROWTH = 1.04
SPREAD, NEIGHBOURS, INCUMBENTS = 1000, 60, 5
REFINED, REFINEMENTS, ROUNDS = 4, 40, (0.1, 0.03, 0.01, 0.003, 0.001)
BETA = 1.8
MODELLED_MOST = 32
"""Suggestions of one call that look at the model; more are quasi-random."""


@dataclass(frozen=True)
class Bayesian:
    learns: ClassVar[bool] = True

    @classmethod
    def parse(cls, options: Document) -> "Bayesian":
        options.only()
        return cls()

    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        history = history or nothing(len(space.dimensions))
        found: list[Configuration] = []
        shape = columns(space)
        seen = set(names(history.points))
        models: Models | None = None
        for place in range(index, index + count):
            point = None
            if place >= quasi_random_first(space) and len(found) < MODELLED_MOST:
                models = models or learn(shape, history)
                chance = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, place)))
                point = best_point(shape, models, chance, seen, optimistic=place % 2 == 1)
            if point is None:
                point = shape.settle(halton_points(len(space.dimensions), seed=seed, index=place, count=1))[0]
            seen.update(names(point[None]))
            if models is not None:
                models = models.expecting(inputs(shape, point[None]))
            else:
                history = history.with_pending(point)
            found.append(space.from_unit(np.nan_to_num(point, nan=0.5)))
        return found

    def size(self, space: SearchSpace) -> int | None:
        return None

    def check(self, space: SearchSpace) -> None:
        """Fits every space."""

    def warnings(self, space: SearchSpace) -> tuple[Fault, ...]:
        return ()


def quasi_random_first(space: SearchSpace) -> int:
    """How many trials come before any model."""
    return max(5, min(2 * len(space.varied), 10))


@dataclass(frozen=True)
class Models:
    """Of the loss, None before two values; of feasibility, None while nothing was infeasible. `incumbents`:
    the best points that were seen; `best`: the lowest posterior mean at a seen point."""

    loss: gp.Posterior | None
    feasible: gp.Posterior | None
    threshold: float
    incumbents: Points
    best: float

    def expecting(self, at: gp.Inputs) -> "Models":
        """With one more pending trial."""
        loss = self.loss.believing(at) if self.loss else None
        return Models(loss, self.feasible, self.threshold, self.incumbents, self.best)

    def promise(self, at: gp.Inputs, *, optimistic: bool) -> NDArray[np.float64]:
        total = np.zeros(len(at))
        if self.loss is not None:
            mean, variance = self.loss.predict(at)
            deviation = np.sqrt(variance)
            if optimistic:
                total += log_optimism(mean, deviation, self.best, BETA)
            else:
                total += log_expected_improvement(mean, deviation, self.best)
        if self.feasible is not None:
            mean, variance = self.feasible.predict(at)
            deviation = np.sqrt(variance + self.feasible.kernel.noise)
            total += log_probability_above(mean, deviation, self.threshold)
        return total


def learn(shape: Columns, history: History) -> Models:
    rows = inputs(shape, history.points)
    valued = np.flatnonzero(history.valued)
    pending = rows.rows(history.of(Fate.PENDING))
    loss, best, incumbents = None, 0.0, np.empty((0, len(shape.cells)))
    if len(valued) > 1:
        values = standardised(history.losses[valued])
        kernel = _fitted(rows.rows(valued), history.losses[valued])
        chosen = _kept(values)
        loss = gp.condition(kernel, rows.rows(valued[chosen]), values[chosen])
        best = float(loss.mean_at(loss.inputs).min())
        loss = loss.believing(pending)
    if len(valued):
        order = np.argsort(history.losses[valued], kind="stable")[:INCUMBENTS]
        incumbents = history.points[valued[order]]
    feasible, threshold = _feasibility(rows, history)
    return Models(loss, feasible, threshold, incumbents, best)


def best_point(
    shape: Columns, models: Models, chance: np.random.Generator, seen: set[bytes], *, optimistic: bool
) -> NDArray[np.float64] | None:
    """None where every configuration that was thought of has been seen."""
    if models.loss is None and models.feasible is None:
        return None
    pool = everywhere(shape, chance, SPREAD)
    if len(models.incumbents):
        close = near(shape, chance, models.incumbents, NEIGHBOURS, smallest=0.002, largest=0.4)
        pool = np.vstack([close, pool])
    pool = unseen(pool, seen)
    if not len(pool):
        return None
    scores = models.promise(inputs(shape, pool), optimistic=optimistic)
    for scale in ROUNDS:
        top = np.argsort(-scores, kind="stable")[:REFINED]
        close = unseen(near(shape, chance, pool[top], REFINEMENTS, smallest=scale / 3, largest=scale), seen)
        pool = np.vstack([pool[top], close])
        scores = np.concatenate([scores[top], models.promise(inputs(shape, close), optimistic=optimistic)])
    best: NDArray[np.float64] = pool[np.argmax(scores)]
    return best


def inputs(shape: Columns, points: Points) -> gp.Inputs:
    """An inactive number stands in the middle, an inactive category is a value of its own."""
    numeric = np.nan_to_num(points[:, ~shape.nominal], nan=0.5)
    nominal = np.nan_to_num(points[:, shape.nominal], nan=-1.0)
    return gp.Inputs(numeric, nominal)


def _feasibility(rows: gp.Inputs, history: History) -> tuple[gp.Posterior | None, float]:
    """Regression on 0 and 1, standardised; a point counts as feasible above one half."""
    known = np.flatnonzero(history.of(Fate.FINISHED, Fate.STOPPED, Fate.INFEASIBLE))
    outcomes = (history.fates[known] != Fate.INFEASIBLE).astype(float)
    if outcomes.all() or not len(known):
        return None, 0.0
    share = float((outcomes.sum() + 1) / (len(outcomes) + 2))
    deviation = float(np.sqrt(share * (1 - share)))
    values = (outcomes - share) / deviation
    kernel = _fitted(rows.rows(known), outcomes)
    newest = known[-POINTS_MOST:]
    model = gp.condition(kernel, rows.rows(newest), values[-POINTS_MOST:])
    return model, (0.5 - share) / deviation


def _kept(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """At most `POINTS_MOST` rows: the best half of them by value, the rest the newest."""
    if len(values) <= POINTS_MOST:
        return np.arange(len(values))
    best = np.argsort(values, kind="stable")[: POINTS_MOST // 2]
    newest = np.setdiff1d(np.arange(len(values)), best)[-(POINTS_MOST - len(best)) :]
    return np.sort(np.concatenate([best, newest]))


def _fitted(rows: gp.Inputs, values: NDArray[np.float64]) -> gp.Kernel:
    """Of the first rows, as many as a series that grows by 4 % allows, so that few trials need a new fit."""
    size = 2
    while (larger := max(size + 1, int(size * REFIT_GROWTH))) <= len(values):
        size = larger
    chosen = _spread(values[:size])
    return KERNELS.fit(rows.rows(chosen), standardised(values[chosen]))


def _spread(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """At most `FIT_POINTS` rows: the best half of them by value, the rest at equal steps of rank."""
    order = np.argsort(values, kind="stable")
    if len(order) <= FIT_POINTS:
        return np.sort(order)
    half = FIT_POINTS // 2
    steps = np.linspace(half, len(order) - 1, FIT_POINTS - half).astype(np.intp)
    return np.sort(np.concatenate([order[:half], order[steps]]))


class Kernels:
    """The last fits, under what they were fitted to: the same data gives the same kernel anywhere."""

    MOST = 256

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[bytes, gp.Kernel] = OrderedDict()

    def fit(self, rows: gp.Inputs, values: NDArray[np.float64]) -> gp.Kernel:
        digest = hashlib.blake2b(digest_size=16)
        for part in (rows.numeric, rows.nominal, values):
            digest.update(repr(part.shape).encode() + np.ascontiguousarray(part).tobytes())
        key = digest.digest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        kernel = gp.fit(rows, values)
        with self._lock:
            self._kept[key] = kernel
            while len(self._kept) > self.MOST:
                self._kept.popitem(last=False)
        return kernel


KERNELS = Kernels()

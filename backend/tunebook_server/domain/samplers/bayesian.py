"""Bayesian optimisation: where a Gaussian process of the loss promises most and one of feasibility allows.

After a few quasi-random trials, each suggestion maximises the logarithm of expected improvement, or in turn
a confidence bound, times the probability of being feasible: infeasible trials teach where not to go and get
no invented loss. Pending trials count as if they had come out as expected. All of it is a function of the
history, the seed and the place; what is kept between calls are fitted kernels, under their data.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.samplers import gaussian_process as gp
from tunebook_server.domain.samplers.acquisition import (
    log_expected_improvement,
    log_optimism,
    log_probability_above,
)
from tunebook_server.domain.samplers.columns import Columns, Points
from tunebook_server.domain.samplers.history import Fate, History, thinned
from tunebook_server.domain.samplers.learner import Learner, Model, Point
from tunebook_server.domain.samplers.losses import standardised
from tunebook_server.domain.samplers.memo import Memo
from tunebook_server.domain.samplers.proposals import everywhere, near, unseen
from tunebook_server.domain.samplers.trade_offs import TURNS
from tunebook_server.domain.samplers.two_losses import Losses, front_of

FIT_POINTS, POINTS_MOST, FEASIBLE_MOST = 200, 300, 200
FIT_DISTANCES = 400_000
"""Squared distances that a fit looks at in each step: of fewer points where there are many dimensions."""
REFIT_GROWTH = 1.04
SPREAD, NEIGHBOURS, INCUMBENTS, FRONT_NEAR = 1000, 60, 5, 12
REFINED, REFINEMENTS, ROUNDS = 4, 40, (0.1, 0.03, 0.01, 0.003, 0.001)
BETA = 1.8


class Bayesian(Learner):
    stream = 3
    modelled_most = 32

    def view(self, history: History, place: int, seed: int) -> History:
        return history if _has_two(history) else super().view(history, place, seed)

    def learn(self, shape: Columns, history: History, seed: int) -> Model | None:
        models = learned(shape, history)
        return None if models.loss is None and models.feasible is None else models


@dataclass(frozen=True)
class Models:
    """Of the loss, or of two, None before two values; of feasibility, None while nothing was infeasible.
    `incumbents`: the best points that were seen; `lowest`: the posterior mean at the best seen point."""

    shape: Columns
    loss: gp.Posterior | Losses | None
    feasible: gp.Posterior | None
    threshold: float
    incumbents: Points
    lowest: float

    def best(self, place: int, chance: np.random.SeedSequence, seen: set[bytes]) -> Point | None:
        return best_point(
            self, np.random.default_rng(chance), seen, optimistic=(place + place // TURNS) % 2 == 1
        )

    def expecting(self, point: Point) -> "Models":
        loss = self.loss.believing(inputs(self.shape, point[None])) if self.loss else None
        return replace(self, loss=loss)

    def promise(self, at: gp.Inputs, *, optimistic: bool) -> NDArray[np.float64]:
        total = np.zeros(len(at))
        if isinstance(self.loss, Losses):
            total += self.loss.promise(at)
        elif self.loss is not None:
            mean, variance = self.loss.predict(at)
            deviation = np.sqrt(variance)
            if optimistic:
                total += log_optimism(mean, deviation, self.lowest, BETA)
            else:
                total += log_expected_improvement(mean, deviation, self.lowest)
        if self.feasible is not None:
            mean, variance = self.feasible.predict(at)
            deviation = np.sqrt(variance + self.feasible.kernel.noise)
            total += log_probability_above(mean, deviation, self.threshold)
        return total


def learned(shape: Columns, history: History) -> Models:
    rows = inputs(shape, history.points)
    valued = np.flatnonzero(history.valued)
    pending = rows.rows(history.of(Fate.PENDING))
    feasible, threshold = _feasibility(rows, history)
    if _has_two(history):
        both, front = _two(rows, history)
        both = both and both.believing(pending)
        return Models(shape, both, feasible, threshold, history.points[front], 0.0)
    loss, lowest, incumbents = None, 0.0, np.empty((0, len(shape.cells)))
    if len(valued) > 1:
        values = standardised(history.losses[valued])
        kernel = fitted(rows.rows(valued), history.losses[valued])
        chosen = kept(values)
        loss = gp.condition(kernel, rows.rows(valued[chosen]), values[chosen])
        lowest = float(loss.mean_at(loss.inputs).min())
        loss = loss.believing(pending)
    if len(valued):
        order = np.argsort(history.losses[valued], kind="stable")[:INCUMBENTS]
        incumbents = history.points[valued[order]]
    return Models(shape, loss, feasible, threshold, incumbents, lowest)


def _has_two(history: History) -> bool:
    return history.others is not None and history.others.shape[1] == 1


def _two(rows: gp.Inputs, history: History) -> tuple[Losses | None, NDArray[np.intp]]:
    """Of the trials that have both losses, and which of them are on the front."""
    assert history.others is not None
    whole = np.flatnonzero(history.valued & np.isfinite(history.others[:, 0]))
    if len(whole) < 2:
        return None, whole
    raw = [history.losses[whole], history.others[whole, 0]]
    values = np.column_stack([standardised(each) for each in raw])
    chosen = kept(values.sum(axis=1))
    first, second = (
        gp.condition(fitted(rows.rows(whole), raw[place]), rows.rows(whole[chosen]), values[chosen, place])
        for place in (0, 1)
    )
    expected = np.column_stack([each.mean_at(each.inputs) for each in (first, second)])
    front, places = front_of(expected)
    return Losses(first, second, front), whole[chosen][thinned(places, FRONT_NEAR)]


def best_point(
    models: Models, chance: np.random.Generator, seen: set[bytes], *, optimistic: bool
) -> Point | None:
    """None where every configuration that was thought of has been seen."""
    shape = models.shape
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
    best: Point = pool[np.argmax(scores)]
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
    kernel = fitted(rows.rows(known), outcomes)
    kept_ = _both(outcomes)
    model = gp.condition(kernel, rows.rows(known[kept_]), values[kept_])
    return model, (0.5 - share) / deviation


def _both(outcomes: NDArray[np.float64]) -> NDArray[np.intp]:
    """At most `FEASIBLE_MOST` rows: as many of the rarer outcome as there are, up to half of them."""
    no, yes = np.flatnonzero(outcomes == 0), np.flatnonzero(outcomes == 1)
    rare = min(len(no), len(yes), FEASIBLE_MOST // 2)
    rest = FEASIBLE_MOST - rare
    most = (rare, rest) if len(no) <= len(yes) else (rest, rare)
    return np.sort(np.concatenate([thinned(no, most[0]), thinned(yes, most[1])]))


def kept(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """At most `POINTS_MOST` rows: the best half of them by value, the rest the newest."""
    if len(values) <= POINTS_MOST:
        return np.arange(len(values))
    best = np.argsort(values, kind="stable")[: POINTS_MOST // 2]
    newest = np.setdiff1d(np.arange(len(values)), best)[-(POINTS_MOST - len(best)) :]
    return np.sort(np.concatenate([best, newest]))


def fitted(rows: gp.Inputs, values: NDArray[np.float64]) -> gp.Kernel:
    """Of the first rows, as many as a series that grows by 4 % allows, so that few trials need a new fit."""
    size = 2
    while (larger := max(size + 1, int(size * REFIT_GROWTH))) <= len(values):
        size = larger
    most = min(FIT_POINTS, int(np.sqrt(FIT_DISTANCES / max(rows.width, 1))))
    chosen = _spread(values[:size], most)
    return _fit(rows.rows(chosen), standardised(values[chosen]))


def _spread(values: NDArray[np.float64], most: int) -> NDArray[np.intp]:
    """At most `most` rows: the best half of them by value, the rest at equal steps of rank."""
    order = np.argsort(values, kind="stable")
    if len(order) <= most:
        return np.sort(order)
    half = most // 2
    steps = np.linspace(half, len(order) - 1, most - half).astype(np.intp)
    return np.sort(np.concatenate([order[:half], order[steps]]))


def _fit(rows: gp.Inputs, values: NDArray[np.float64]) -> gp.Kernel:
    """Made once for the same data, here or in any process."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (rows.numeric, rows.nominal, values):
        digest.update(repr(part.shape).encode() + np.ascontiguousarray(part).tobytes())
    key = digest.digest()
    kernel = _KERNELS.get(key)
    if kernel is None:
        kernel = gp.fit(rows, values)
        _KERNELS.put(key, kernel)
    return kernel


_KERNELS: Memo[gp.Kernel] = Memo(256)

"""How much each hyperparameter decides whether a trial is among the best: PED-ANOVA.

Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
Subspaces" (IJCAI 2023): the importance is the Pearson divergence between the density of a hyperparameter's
values among the best trials and among all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEEDED_TRIALS = 20  # with fewer, the best trials of a hyperparameter without effect differ as much by luck
TOP_SHARE = 0.10  # of the trials: the paper's quantile
TOP_LEAST = 8  # below it the density of the best is a guess
CELLS = 50  # of the grid on which densities are compared
PRIOR_TRIALS = 1.0  # by which the density of the best is drawn towards that of all
SCOTT = 1.06  # times the deviation of the best trials' values and their number^(-1/5), a density's bandwidth
RESAMPLES = 200
QUANTILES = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Importance:
    """`share` of the importance of all, with its 95 % interval; `divergence` is the Pearson divergence above
    what as many trials, drawn at random, would show."""

    key: str
    trials: int
    divergence: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Importances:
    """`ranked`: the most important first; `wanting`: keys that too few trials have, with their number."""

    trials: int
    ranked: tuple[Importance, ...]
    wanting: Mapping[str, int]


def measure(
    units: Mapping[str, NDArray[np.float64]],
    choices: Mapping[str, int],
    losses: NDArray[np.float64],
    *,
    seed: int = 0,
) -> Importances:
    """Importance of every key of `units`, each over the trials that have it.

    `units`: a place in [0, 1] for each trial, NaN where inactive; `choices`: how many choices a key has, for
    those of choices; `losses`: infinite for an infeasible trial, which counts as worse than any other, NaN
    for one that does not count. Ranks alone matter. In any order of the trials the numbers are the same.
    """
    counted = ~np.isnan(losses)
    order = np.flatnonzero(counted)[_order(units, losses, counted)]
    losses = losses[order]
    feasible = int(np.isfinite(losses).sum())
    columns = {key: column[order] for key, column in units.items()}
    here = {key: np.flatnonzero(np.isfinite(column)) for key, column in columns.items()}
    enough = {key for key in here if np.isfinite(losses[here[key]]).sum() >= NEEDED_TRIALS}
    keys = [key for key in columns if key in enough]
    reached = max((int(here[key][_reach(here[key], losses)[1] - 1]) + 1 for key in keys), default=0)
    weights = _resamples(reached, seed)
    found = [_divergences(columns[key], here[key], choices.get(key, 0), losses, weights) for key in keys]
    divergences = np.array(found).reshape(len(keys), len(weights))
    total = divergences.sum(axis=0)
    shares = np.divide(divergences, total, out=np.zeros_like(divergences), where=total > 0)
    ranked = [
        _importance(key, len(here[key]), divergences[place, 0], shares[place])
        for place, key in enumerate(keys)
    ]
    return Importances(
        feasible,
        tuple(sorted(ranked, key=lambda each: -each.share)),
        {key: int(np.isfinite(losses[here[key]]).sum()) for key in columns if key not in enough},
    )


def _order(
    units: Mapping[str, NDArray[np.float64]], losses: NDArray[np.float64], counted: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """From the best; of equals by their values, so that the trials' numbers decide nothing."""
    return np.lexsort([*(column[counted] for column in units.values()), losses[counted]])


def _resamples(trials: int, seed: int) -> NDArray[np.float64]:
    """Row 0: every trial once; the others: how often a Poisson bootstrap holds each of the best trials."""
    drawn = np.random.default_rng(seed).poisson(1.0, (RESAMPLES, trials))
    return np.vstack([np.ones((1, trials)), drawn]).astype(np.float64)


def _reach(here: NDArray[np.intp], losses: NDArray[np.float64]) -> tuple[int, int]:
    """How many trials are the best ones, and how many of the first hold those of any resample."""
    feasible = int(np.isfinite(losses[here]).sum())
    top = min(max(int(np.ceil(TOP_SHARE * len(here))), TOP_LEAST), feasible)
    return top, min(len(here), 2 * top + 50)


def _divergences(
    units: NDArray[np.float64],
    here: NDArray[np.intp],
    choices: int,
    losses: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Of the trials and of every resample, less what chance alone would give; shape (resamples + 1,).

    The best of a resample differ from all trials by chance twice: in the trials, and in the resample.
    """
    cells = choices or CELLS
    cell = np.clip((units[here] * cells).astype(np.int64), 0, cells - 1)
    top, reach = _reach(here, losses)
    kernel = np.eye(cells) if choices else _kernel(cells, _bandwidth(units[here[:top]]))
    count = np.bincount(cell, minlength=cells) / len(here)
    mean = count @ kernel
    seen = mean > 0
    drawn = weights[:, here[:reach]]
    before = np.cumsum(drawn, axis=1) - drawn
    best = np.clip(top - before, 0, drawn) @ np.eye(cells)[cell[:reach]]
    shrink = top / (top + PRIOR_TRIALS)
    apart = shrink * ((best / best.sum(axis=1, keepdims=True)) @ kernel - mean)[:, seen]
    variance = (count @ kernel**2 - mean**2)[seen]
    rest = (len(here) - top) / max(len(here) - 1, 1)
    chance = shrink**2 * rest / top * float((variance / mean[seen]).sum())
    expected = np.where(np.arange(len(weights)) == 0, chance, 2 * chance)
    return np.asarray(np.maximum((apart**2 / mean[seen]).sum(axis=1) - expected, 0.0), dtype=np.float64)


def _bandwidth(best: NDArray[np.float64]) -> float:
    """Scott's rule with a deviation that one value far away does not widen."""
    first, third = np.quantile(best, [0.25, 0.75])
    spread = min(float(best.std()), float(third - first) / 1.349) or float(best.std())
    return float(max(SCOTT * spread * len(best) ** -0.2, 1 / CELLS))


def _kernel(cells: int, bandwidth: float) -> NDArray[np.float64]:
    """Shape (cells, cells): what a trial in one cell adds to each, a normal density cut at the ends."""
    centres = (np.arange(cells) + 0.5) / cells
    near = np.exp(-0.5 * ((centres[:, None] - centres[None, :]) / bandwidth) ** 2)
    return np.asarray(near / near.sum(axis=1, keepdims=True), dtype=np.float64)


def _importance(key: str, trials: int, divergence: Any, shares: NDArray[np.float64]) -> Importance:
    low, high = np.quantile(shares[1:], QUANTILES)
    share = float(shares[0])
    return Importance(key, trials, float(divergence), share, min(float(low), share), max(float(high), share))

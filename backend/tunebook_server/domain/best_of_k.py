"""The best of k trials: what a study of another budget would have found.

Deep Learning Tuning Playbook, "Determining the number of trials": resample a finished study at smaller
budgets and look at the spread of the best result. Which of the sorted trials is the best of k is an order
statistic with a closed form, so nothing needs to be drawn for a quantile or a mean.

`losses` are lower-better and finite, in any order, one a trial; `sizes` whole numbers k from 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIZES_MOST = 40
ROUNDING = 1e-12  # of a probability, lost on the way to it


@dataclass(frozen=True, slots=True)
class Doubling:
    """What the last doubling of the budget brought, n/2 to n trials, and what the next one should."""

    last: float
    next: float
    ratio: float
    """Of the gain of one doubling to that of the doubling before; at most 1."""


def sizes(first: int, last: int, *, most: int = SIZES_MOST) -> NDArray[np.int64]:
    """Rising budgets from `first` to `last`: all of them, or `most` at equal ratios."""
    if last - first < most:
        return np.arange(first, last + 1, dtype=np.int64)
    return np.unique(np.rint(np.geomspace(first, last, most)).astype(np.int64))


def quantiles(
    losses: ArrayLike, sizes: ArrayLike, levels: ArrayLike, *, replacement: bool = True
) -> NDArray[np.float64]:
    """Quantiles of the best of k trials, exactly: shape (levels, sizes).

    Each is the loss of a trial: the smallest x with P(best <= x) >= level. `replacement`: the k trials are
    drawn with it (another study like this one) or without (a part of this one; then k <= n).
    """
    ordered = np.sort(np.asarray(losses, dtype=float))
    asked, budgets = np.asarray(levels, dtype=float), np.asarray(sizes)
    if replacement:  # 1 - (1 - j/n)^k >= level, solved for j
        share = -np.expm1(np.log1p(-asked)[:, None] / budgets)
        places = np.ceil(len(ordered) * share * (1 - ROUNDING)).astype(np.intp) - 1
    else:
        left = (_all_worse(len(ordered), int(k), replacement=False) for k in budgets)
        # each falls: the first place where no more than 1 - level is left
        places = np.stack([np.searchsorted(-each, asked - 1 - ROUNDING) for each in left], axis=1)
    found: NDArray[np.float64] = ordered[np.clip(places, 0, len(ordered) - 1)]
    return found


def means(losses: ArrayLike, sizes: ArrayLike, *, replacement: bool = True) -> NDArray[np.float64]:
    """Expected best of k trials, exactly: shape (sizes,). Without replacement it is an unbiased estimate of
    what k new trials would find; with replacement it is a little too pessimistic."""
    ordered = np.sort(np.asarray(losses, dtype=float))
    steps = np.diff(ordered)
    left = (_all_worse(len(ordered), int(k), replacement=replacement)[:-1] for k in np.asarray(sizes))
    return np.array([float(ordered[0] + steps @ share) for share in left])


def doubling(losses: ArrayLike) -> Doubling:
    """Gains are differences of expected best losses, drawn without replacement.

    The best of k approaches its limit like a power of k for every loss that is smooth near its optimum
    (extreme-value theory, Weibull's domain of attraction): gains of successive doublings shrink by one ratio,
    which carries the last gain to the next. Needs 4 trials.
    """
    n = np.size(losses)
    quarter, half, whole = means(losses, [n // 4, n // 2, n], replacement=False)
    before, last = float(quarter - half), float(half - whole)
    ratio = min(1.0, last / before) if before > 0 else 1.0
    return Doubling(last, last * ratio, ratio)


def campaigns(
    losses: ArrayLike,
    sizes: ArrayLike,
    *,
    resamples: int,
    seed: int,
    strata: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Best so far at rising `sizes` of resampled studies, drawn with replacement: shape (resamples, sizes).

    For what has no closed form, such as the difference between two sizes of one study. `strata`: a group a
    trial; each keeps its share of every resample. Only the best of each draw is drawn, as the order statistic
    that it is: the cost does not depend on n.
    """
    values = np.asarray(losses, dtype=float)
    groups = np.zeros(len(values), dtype=np.intp) if strata is None else np.asarray(strata)
    ordered = [np.sort(values[groups == group]) for group in np.unique(groups)]
    shares = np.cumsum([0, *map(len, ordered)]) / len(values)
    random = np.random.default_rng(seed)
    best = np.full((resamples, np.size(sizes)), np.inf)
    for column, draws in enumerate(np.diff(np.asarray(sizes), prepend=0)):
        allotted = np.diff(np.floor(draws * shares + 0.5)).astype(int)
        for stratum, k in zip(ordered, allotted, strict=True):
            if k:
                best[:, column] = np.minimum(best[:, column], _best(stratum, int(k), resamples, random))
    return np.minimum.accumulate(best, axis=1)


def _best(
    ordered: NDArray[np.float64], k: int, resamples: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """The lowest of k uniform numbers is distributed as 1 - u^(1/k)."""
    lowest = -np.expm1(np.log1p(-random.random(resamples)) / k)
    return ordered[np.minimum((lowest * len(ordered)).astype(np.intp), len(ordered) - 1)]


def _all_worse(n: int, k: int, *, replacement: bool) -> NDArray[np.float64]:
    """The probability that all of k trials are worse than the j-th best, j = 1 … n."""
    j = np.arange(1, n + 1)
    if replacement:
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(k * np.log1p(-j / n)))
    return np.asarray(np.cumprod(np.maximum(n - k - j + 1, 0) / (n - j + 1)), dtype=np.float64)

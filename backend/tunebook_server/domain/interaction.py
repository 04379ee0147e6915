"""Which nuisance hyperparameters must be retuned for each scientific value, and which can be fixed.

Deep Learning Tuning Playbook, "Identifying scientific, nuisance, and fixed hyperparameters": a nuisance
hyperparameter may be fixed where its best value does not depend on the scientific one, or where it has no
effect; otherwise it must be tuned again for every scientific value, for a fair comparison.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.importance import measure

NEEDED_TRIALS = 15  # of each scientific value: fewer give no region of good values
GOOD_SHARE = 0.10  # of the feasible trials of a scientific value
GOOD_LEAST = 6
GOOD_MOST = 60  # more tell no more of where the best lie, and cost each permutation as much
PERMUTATIONS = 999
RESAMPLES = 500
SIGNIFICANT = 0.01
MOVED = 0.10  # of the range: a smaller difference is no reason to tune again
FLAT_SHARE = 0.20  # of the importance of all: surely under it, a hyperparameter can be fixed
REGION = (0.1, 0.9)
QUANTILES = (0.025, 0.975)
BUCKETS = 3  # of a scientific number with more values than choices could have
BUCKET_FROM_VALUES = 7


class Conclusion(StrEnum):
    MOVES = "moves"
    FLAT = "flat"
    UNCLEAR = "unclear"
    ALONE = "alone"
    """Exists for one scientific value only."""


@dataclass(frozen=True, slots=True)
class Region:
    """Where the good trials of one scientific value lie, as places in [0, 1] of the range: their median with
    its 95 % interval, and the region of 80 % of them."""

    value: int
    trials: int
    centre: float
    centre_low: float
    centre_high: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Nuisance:
    """`moved`: the largest difference between two medians; `p`: how often chance moves them as far."""

    key: str
    conclusion: Conclusion
    regions: tuple[Region, ...]
    moved: float
    p: float | None
    share: float | None
    share_high: float | None


@dataclass(frozen=True, slots=True)
class Interaction:
    """`counts`: feasible trials by scientific value, in order; `rows` are empty where each has too few."""

    counts: tuple[int, ...]
    rows: tuple[Nuisance, ...]


def measure_interaction(
    values: NDArray[np.int64],
    count: int,
    nuisance: Mapping[str, NDArray[np.float64]],
    choices: Mapping[str, int],
    losses: NDArray[np.float64],
    *,
    seed: int = 0,
) -> Interaction:
    """`values`: the scientific value of each trial, 0 to `count` - 1, or -1; `nuisance`: places in [0, 1] by
    key, NaN where inactive; `losses`: infinite for an infeasible trial, NaN for one that does not count.

    The order of the trials has no influence. Each value's own best trials are compared, so that a scientific
    value that is better throughout does not decide.
    """
    feasible = np.isfinite(losses) & (values >= 0)
    counts = np.bincount(values[feasible], minlength=count)
    enough = [value for value in range(count) if counts[value] >= NEEDED_TRIALS]
    if not enough:
        return Interaction(tuple(counts.tolist()), ())
    compared = _Compared(values, enough, losses, seed)
    importance = _importance(compared, nuisance, choices)
    rows = [
        _nuisance(key, units, choices.get(key, 0), compared, importance.get(key))
        for key, units in nuisance.items()
    ]
    return Interaction(tuple(counts.tolist()), tuple(row for row in rows if row.regions))


@dataclass(frozen=True, slots=True)
class _Compared:
    """`enough`: the scientific values that have enough trials."""

    values: NDArray[np.int64]
    enough: list[int]
    losses: NDArray[np.float64]
    seed: int


def values_of_numbers(units: NDArray[np.float64]) -> tuple[NDArray[np.int64], list[NDArray[np.bool_]]]:
    """A scientific number as a few values: its own where they are few, else thirds of the trials; -1: none.

    Also returns, for each value, the trials that have it.
    """
    here = np.isfinite(units)
    own = np.unique(units[here])
    cuts = own[1:] if len(own) < BUCKET_FROM_VALUES else np.quantile(units[here], [1 / 3, 2 / 3])
    values = np.where(here, np.searchsorted(cuts, units, side="right"), -1).astype(np.int64)
    return values, [values == value for value in range(len(cuts) + 1)]


def _importance(
    compared: _Compared, nuisance: Mapping[str, NDArray[np.float64]], choices: Mapping[str, int]
) -> dict[str, tuple[float, float]]:
    """By key the largest share of importance under any scientific value, and the upper end of its interval.

    Over all values together, a best value that moves would look like no effect. Keys that too few trials of
    some value have are left out, and so is every key while no hyperparameter stands out.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for value in compared.enough:
        losses = np.where(compared.values == value, compared.losses, np.nan)
        of_value = measure(nuisance, choices, losses, seed=compared.seed)
        if not any(each.low > 0 for each in of_value.ranked):
            return {}
        for each in of_value.ranked:
            found.setdefault(each.key, []).append((each.share, each.high))
    return {
        key: (max(share for share, _ in pairs), max(high for _, high in pairs))
        for key, pairs in found.items()
        if len(pairs) == len(compared.enough)
    }


def _nuisance(
    key: str,
    units: NDArray[np.float64],
    choices: int,
    compared: _Compared,
    importance: tuple[float, float] | None,
) -> Nuisance:
    good: dict[int, tuple[NDArray[np.float64], int]] = {}
    values, losses = compared.values, compared.losses
    for value in compared.enough:
        here = np.flatnonzero((values == value) & np.isfinite(losses) & np.isfinite(units))
        if len(here) >= NEEDED_TRIALS:
            best = here[np.lexsort((units[here], losses[here]))]
            top = min(max(GOOD_LEAST, int(np.ceil(GOOD_SHARE * len(here)))), GOOD_MOST)
            good[value] = np.sort(units[best[:top]]), len(here)
    random = np.random.default_rng(compared.seed)
    regions = [_region(value, best, trials, choices, random) for value, (best, trials) in good.items()]
    centres = [region.centre for region in regions]
    moved = max(centres) - min(centres) if centres else 0.0
    several = len(regions) > 1
    p = _permuted([best for best, _ in good.values()], choices, random) if several else None
    share, share_high = importance or (None, None)
    return Nuisance(
        key,
        _conclusion(p, moved, choices, share_high),
        tuple(regions),
        moved,
        p,
        share,
        share_high,
    )


def _conclusion(p: float | None, moved: float, choices: int, high: float | None) -> Conclusion:
    if p is None:
        return Conclusion.ALONE
    if p < SIGNIFICANT and moved >= (MOVED if not choices else 0.5 / choices):
        return Conclusion.MOVES
    if high is not None and high < FLAT_SHARE and p >= SIGNIFICANT:
        return Conclusion.FLAT
    return Conclusion.UNCLEAR


def _region(
    value: int, good: NDArray[np.float64], trials: int, choices: int, random: np.random.Generator
) -> Region:
    draws = good[random.integers(0, len(good), (RESAMPLES, len(good)))]
    centres = _centres(draws, choices)
    low, high = np.quantile(good, REGION)
    first, last = np.quantile(centres, QUANTILES)
    centre = float(_centres(good[None, :], choices)[0])
    return Region(
        value,
        trials,
        centre,
        min(float(first), centre),
        max(float(last), centre),
        float(low),
        float(high),
    )


def _centres(rows: NDArray[np.float64], choices: int) -> NDArray[np.float64]:
    """The median of each row; of choices the most frequent."""
    if not choices:
        return np.median(rows, axis=1)
    places = (rows * choices).astype(np.int64)
    counts = (places[:, :, None] == np.arange(choices)).sum(axis=1)
    return np.asarray((counts.argmax(axis=1) + 0.5) / choices, dtype=np.float64)


def _permuted(groups: list[NDArray[np.float64]], choices: int, random: np.random.Generator) -> float:
    """p of a permutation test: are the good values of every scientific value drawn alike?

    The statistic is the between-group sum of squares of the ranks, of choices that of their shares.
    """
    pooled = np.concatenate(groups)
    sizes = [len(group) for group in groups]
    scores = np.eye(choices)[(pooled * choices).astype(np.int64)] if choices else _midranks(pooled)[:, None]
    labels = np.repeat(np.arange(len(groups)), sizes)
    rows = random.permuted(np.tile(labels, (PERMUTATIONS, 1)), axis=1)
    statistics = np.zeros(PERMUTATIONS + 1)
    for group, size in enumerate(sizes):
        members = np.vstack([labels, rows]) == group
        means = members @ scores / size - scores.mean(axis=0)
        statistics += size * (means**2).sum(axis=1)
    beyond = int((statistics[1:] >= statistics[0] * (1 - 1e-9)).sum())
    return (1 + beyond) / (1 + PERMUTATIONS)


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(values)
    first, last = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((first + last) / 2, dtype=np.float64)

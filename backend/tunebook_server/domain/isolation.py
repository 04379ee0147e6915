"""Isolation: for each value of a scientific hyperparameter, or for each of several studies, the best trial
over the nuisance ones (Deep Learning Tuning Playbook, "Extracting insight from experimental results")."""

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import Hyperparameter
from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.domain.value_groups import ValueGroups, group

CONFIDENCE = 0.95
COMPARED_FROM_TRIALS = 5  # a value (playbook: fewer are too few to compare)


@dataclass(frozen=True, slots=True)
class ValueBest:
    """One value, one part of a range, or one study; `low` to `high` is the interval of its best loss, NaN
    without a feasible trial."""

    first: float
    last: float
    trials: int
    """Feasible ones, those that the best was chosen from."""
    infeasible: int
    best: int | None
    """The place of its best trial in the columns; of equals the earlier number."""
    low: float
    high: float

    @property
    def compared(self) -> bool:
        return self.trials >= COMPARED_FROM_TRIALS


@dataclass(frozen=True, slots=True)
class Isolation:
    """`matched`: the number of trials at which all values are compared, 0 where fewer than two can be."""

    values: tuple[ValueBest, ...]
    matched: int
    winner: int | None
    """The place in `values` of the one whose interval lies wholly below every other compared one's."""
    without: int
    """Ended trials that are in no group: they do not have this hyperparameter."""


def isolate(
    columns: TrialColumns,
    parameter: Hyperparameter,
    key: str,
    objective: Objective,
    *,
    parts: int | None = None,
) -> Isolation:
    """The groups are the values of a hyperparameter, or parts of its range."""
    return isolate_groups(columns, group(parameter, columns.values[key], parts=parts), objective)


def isolate_groups(columns: TrialColumns, groups: ValueGroups, objective: Objective) -> Isolation:
    """Bests and their intervals as losses (the objective's sign turned), in order of the groups."""
    feasible, infeasible = columns.feasible, columns.infeasible
    losses = objective.sign * columns.objective
    ranked = np.flatnonzero(feasible & (groups.member >= 0))
    ranked = ranked[np.lexsort((columns.numbers[ranked], losses[ranked]))]
    ranked = ranked[np.argsort(groups.member[ranked], kind="stable")]
    bounds = np.searchsorted(groups.member[ranked], np.arange(len(groups) + 1))
    counts = np.diff(bounds)
    failed = np.bincount(groups.member[infeasible & (groups.member >= 0)], minlength=len(groups))
    compared = counts[counts >= COMPARED_FROM_TRIALS]
    matched = int(compared.min()) if len(compared) > 1 else 0
    values = []
    for place in range(len(groups)):
        members = ranked[bounds[place] : bounds[place + 1]]
        low, high = best_interval(losses[members], draws=matched or len(members))
        values.append(
            ValueBest(
                first=float(groups.first[place]),
                last=float(groups.last[place]),
                trials=len(members),
                infeasible=int(failed[place]),
                best=int(members[0]) if len(members) else None,
                low=low,
                high=high,
            )
        )
    without = int(((feasible | infeasible) & (groups.member < 0)).sum())
    return Isolation(tuple(values), matched, _winner(values) if matched else None, without)


def best_interval(losses: NDArray[np.float64], *, draws: int) -> tuple[float, float]:
    """The 95 % interval of the best of `losses` (ascending) under the luck of which points were sampled.

    The bootstrap of a minimum is biased: a resample can never be better than the best of all, and equals it
    in 63 % of the cases. So its upper quantile serves twice. Above, it is the end of the interval as it is:
    the best of `draws` trials would have been worse than that in 5 % of the cases; with `draws` the size of
    the smallest group, a value is not called better for having had more trials. Below, the distance from the
    best to the quantile at the full size is turned down from the best (the "basic" bootstrap, Davison and
    Hinkley 1997, section 5.2): so far the luck of the draw may have hidden a better best. Between two equal
    groups of one distribution the intervals come apart in 1/16 of the cases where the density at the best is
    flat, which the tests measure for other shapes too. The quantile of a resampled minimum is an order
    statistic, so no resample is drawn: the cost is that of sorting.
    """
    count = len(losses)
    if count == 0:
        return math.nan, math.nan
    best = float(losses[0])
    reach = float(losses[bootstrap_rank(count, draws=count) - 1])
    return max(2 * best - reach, -sys.float_info.max), float(
        losses[bootstrap_rank(count, draws=min(draws, count)) - 1]
    )


def bootstrap_rank(count: int, *, draws: int, share: float = CONFIDENCE) -> int:
    """The rank among `count` values that the least of `draws` drawn with replacement does not exceed in at
    least `share` of the cases: the least i with 1 - (1 - i/count)^draws >= share."""
    rank: int = math.ceil(count * (1 - (1 - share) ** (1 / draws)) - 1e-9)
    return min(max(rank, 1), count)


def _winner(values: list[ValueBest]) -> int | None:
    compared = [place for place, each in enumerate(values) if each.compared]
    first = min(compared, key=lambda place: values[place].high)
    apart = all(values[first].high < values[place].low for place in compared if place != first)
    return first if apart else None

"""Trials of earlier studies as trials of this one: mapped by key, or by name and role."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.hyperparameter import Boolean, Categorical, Fixed, Hyperparameter, Searched
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers.columns import columns
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.samplers.recorded import fates_of, units
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial_columns import TrialColumns, choices

Array = NDArray[np.float64]
TRIALS_MOST = 1_000
"""Of each earlier study: the best half of them, and the newest."""


def carried(
    space: SearchSpace,
    before: SearchSpace,
    trials: TrialColumns,
    objective: Objective,
    others: Array | None = None,
) -> History:
    """The trials that ended in a study over `before`, as history in `space`.

    What the earlier study fixed had that value in all of its trials; what it did not have stands where an
    inactive one does. Trials with a value that has no place in the space are left out, as are stopped ones.
    `others`: (n, k), see `History`.
    """
    fates = fates_of(trials)
    chosen = _chosen(fates, objective.sign * trials.objective)
    points = np.full((len(trials), len(space.dimensions)), np.nan)
    for place, parameter in enumerate(space.dimensions):
        same = _same(space.key(parameter), parameter, before)
        if same is not None:
            points[:, place] = _units(parameter, same, trials.values.get(before.key(same)), len(trials))
    settled = columns(space).settle(points)
    active = ~np.isnan(settled)
    inside = np.asarray((~active | ((points >= 0) & (points <= 1))).all(axis=1), dtype=np.bool_)
    chosen = chosen[inside[chosen]]
    losses = np.where(fates == Fate.FINISHED, objective.sign * trials.objective, np.nan)
    return History(
        settled[chosen],
        losses[chosen],
        fates[chosen],
        others=None if others is None else others[chosen],
    )


def after(earlier: Sequence[History], own: History) -> History:
    """One history: what was known before, then the study's own trials."""
    parts = [*earlier, own]
    others = [part.others for part in parts if part.others is not None]
    return History(
        np.vstack([part.points for part in parts]),
        np.concatenate([part.losses for part in parts]),
        np.concatenate([part.fates for part in parts]),
        known=sum(len(part) for part in earlier),
        others=np.vstack(others) if others else None,
    )


def _chosen(fates: NDArray[np.int8], losses: Array) -> NDArray[np.intp]:
    told = np.flatnonzero(np.isin(fates, [Fate.FINISHED, Fate.INFEASIBLE]))
    if len(told) <= TRIALS_MOST:
        return told
    order = np.where(fates[told] == Fate.FINISHED, losses[told], np.inf)
    best = told[np.argsort(order, kind="stable")][: TRIALS_MOST // 2]
    newest = np.setdiff1d(told, best)[-(TRIALS_MOST - len(best)) :]
    return np.sort(np.concatenate([best, newest]))


def _same(key: str, parameter: Searched, before: SearchSpace) -> Hyperparameter | None:
    """The same key, or else the only hyperparameter of that name and role; a fixed one has any role."""
    if key in before.keys:
        return before.parameter(key)
    alike = [
        each
        for each in before.parameters
        if each.name == parameter.name and (isinstance(each, Fixed) or each.role == parameter.role)
    ]
    return alike[0] if len(alike) == 1 else None


def _units(parameter: Searched, same: Hyperparameter, values: Array | None, count: int) -> Array:
    """Places in [0, 1] of the later range; outside of it for a value that has none there."""
    if isinstance(same, Fixed):
        return np.full(count, _outside(parameter.to_unit(same.value)))
    if values is None:  # one value only
        return np.full(count, _outside(parameter.to_unit(same.from_unit(0.5))))
    if isinstance(same, Categorical | Boolean):
        places = np.array([_outside(parameter.to_unit(choice)) for choice in choices(same)])
        return np.where(np.isnan(values), np.nan, places[np.nan_to_num(values).astype(np.intp)])
    if isinstance(parameter, Categorical | Boolean):
        found = [_outside(parameter.to_unit(value)) for value in values.tolist()]
        return np.where(np.isnan(values), np.nan, np.array(found))
    places = units(parameter, values)
    return np.where(np.isnan(places) & ~np.isnan(values), 2.0, places)


def _outside(unit: float) -> float:
    """A value that is no choice is as good as one beyond the range."""
    return 2.0 if np.isnan(unit) else unit

"""A study's recorded trials as the history that its sampler learns from."""

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.hyperparameter import Boolean, Categorical, Float, Searched
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers.columns import columns
from tunebook_server.domain.samplers.fidelity import Reached, at_one_fidelity
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.samplers.learner import quasi_random_first
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import TrialState
from tunebook_server.domain.trial_columns import TrialColumns

Array = NDArray[np.float64]


def recorded(
    trials: TrialColumns, space: SearchSpace, objective: Objective, reached: Reached | None = None
) -> History:
    """Its rows are the trials in `order`. `reached`: where a scheduler ends trials early."""
    rows, fates = order(trials), fates_of(trials)
    valued = np.isin(fates, [Fate.FINISHED, Fate.STOPPED])
    losses = np.where(valued, objective.sign * trials.objective, np.nan)
    history = History(_points(trials, space)[rows], losses[rows], fates[rows])
    if reached is None:
        return history
    return at_one_fidelity(history, trials.ids[rows], reached, quasi_random_first(space))


def order(trials: TrialColumns) -> NDArray[np.intp]:
    """As they ended, then those that have not, by number."""
    return np.lexsort((trials.numbers, trials.finished_at))  # NaN comes last


def fates_of(trials: TrialColumns) -> NDArray[np.int8]:
    """A failed trial says nothing about its values, nor does one that was stopped before it had a value; one
    that completed without a finite one is infeasible."""
    pending = trials.in_state(TrialState.QUEUED, TrialState.CLAIMED, TrialState.RUNNING)
    completed, stopped = trials.in_state(TrialState.COMPLETED), trials.in_state(TrialState.STOPPED)
    finite = np.isfinite(trials.objective)
    fates = np.full(len(trials), Fate.ASIDE, np.int8)
    fates[pending] = Fate.PENDING
    fates[trials.infeasible | (completed & ~finite)] = Fate.INFEASIBLE
    fates[completed & finite] = Fate.FINISHED
    fates[stopped & finite] = Fate.STOPPED
    return fates


def _points(trials: TrialColumns, space: SearchSpace) -> Array:
    points = np.full((len(trials), len(space.dimensions)), 0.5)
    for place, parameter in enumerate(space.dimensions):
        values = trials.values.get(space.key(parameter))
        if values is not None:
            points[:, place] = units(parameter, values)
    points[np.isnan(columns(space).settle(points))] = np.nan  # of one value only, and inactive
    return points


def units(parameter: Searched, values: Array) -> Array:
    """`to_unit` for many; categories come as their places."""
    if isinstance(parameter, Categorical | Boolean):
        return (values + 0.5) / (parameter.size or 1)
    if isinstance(parameter, Float):
        return _along(values, parameter.low, parameter.high, log=parameter.scale == "log")
    low, high = parameter.low - 0.5, parameter.high + 0.5
    if parameter.scale == "linear":
        return _along(values, low, high, log=False)
    return (_along(values - 0.5, low, high, log=True) + _along(values + 0.5, low, high, log=True)) / 2


def _along(values: Array, low: float, high: float, *, log: bool) -> Array:
    """NaN for a value that has no place on the scale."""
    if not log:
        return (values - low) / (high - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = np.log(values) - np.log(low)
    return np.where(values > 0, places / (np.log(high) - np.log(low)), np.nan)

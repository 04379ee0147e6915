"""A study's recorded trials as the history that its sampler learns from."""

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.hyperparameter import Boolean, Categorical, Float, Searched
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import TrialState
from tunebook_server.domain.trial_columns import TrialColumns

Array = NDArray[np.float64]


def recorded(trials: TrialColumns, space: SearchSpace, objective: Objective) -> History:
    """In order of the trials' numbers. A failed trial says nothing about its values and is left out, as is
    one that was stopped before it had a value; a trial that completed without a finite one is
    infeasible."""
    pending = trials.in_state(TrialState.QUEUED, TrialState.CLAIMED, TrialState.RUNNING)
    completed, stopped = trials.in_state(TrialState.COMPLETED), trials.in_state(TrialState.STOPPED)
    finite = np.isfinite(trials.objective)
    fates = np.full(len(trials), -1, np.int8)
    fates[pending] = Fate.PENDING
    fates[trials.infeasible | (completed & ~finite)] = Fate.INFEASIBLE
    fates[completed & finite] = Fate.FINISHED
    fates[stopped & finite] = Fate.STOPPED
    counts = fates >= 0
    valued = (completed | stopped) & finite
    losses = np.where(valued, objective.sign * trials.objective, np.nan)
    return History(_points(trials, space)[counts], losses[counts], fates[counts])


def _points(trials: TrialColumns, space: SearchSpace) -> Array:
    points = np.full((len(trials), len(space.dimensions)), 0.5)
    for place, parameter in enumerate(space.dimensions):
        values = trials.values.get(space.key(parameter))
        if values is not None:
            points[:, place] = _units(parameter, values)
    return points


def _units(parameter: Searched, values: Array) -> Array:
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

"""The trials of a study as columns: what a figure of thousands of trials is computed from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import Boolean, Categorical, Hyperparameter, SearchSpace
from tunebook_server.domain.trial import Configuration, TrialState

STATES = tuple(TrialState)
_CODE = {state: code for code, state in enumerate(STATES)}
DIVERGENT_ROBUST_DEVIATIONS = 5.0
MAD_TO_DEVIATION = 1.4826  # of a normal distribution
DIVERGENCE_NEEDS_TRIALS = 8  # below it, a median absolute deviation says little


@dataclass(frozen=True, slots=True)
class TrialColumns:
    """Arrays of one length, in order of the trial number.

    `states` holds places in `STATES`; `objective` and `best_step` are NaN for none, `last_step` (of the
    objective's curve) before a trial has ended; `values` has one column a key of the search space: the value,
    the place of a choice, or NaN where inactive.
    """

    ids: NDArray[np.int64]
    numbers: NDArray[np.int64]
    states: NDArray[np.int8]
    objective: NDArray[np.float64]
    best_step: NDArray[np.float64]
    last_step: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float64]]
    finished_at: NDArray[np.float64]
    """Seconds since 1970; NaN before the trial has ended."""

    def __len__(self) -> int:
        return len(self.ids)

    def in_state(self, *states: TrialState) -> NDArray[np.bool_]:
        return np.isin(self.states, [_CODE[state] for state in states])

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Ended with a value: completed, or stopped early (its curve counts)."""
        ended = self.in_state(TrialState.COMPLETED, TrialState.STOPPED)
        return ended & np.isfinite(self.objective)

    @property
    def infeasible(self) -> NDArray[np.bool_]:
        return self.in_state(TrialState.INFEASIBLE)

    @property
    def running(self) -> NDArray[np.bool_]:
        held = self.in_state(TrialState.CLAIMED, TrialState.RUNNING)
        return held & np.isfinite(self.objective)

    def divergent(self, objective: Objective) -> NDArray[np.bool_]:
        """Feasible trials more than 5 robust standard deviations worse than the feasible median."""
        limit = divergence_limit(objective.sign * self.objective[self.feasible])
        if limit is None:
            return np.zeros(len(self), dtype=bool)
        with np.errstate(invalid="ignore"):
            return self.feasible & (objective.sign * self.objective > limit)


def divergence_limit(losses: NDArray[np.float64]) -> float | None:
    """The loss above which a finished trial is divergent; None with too few trials or without spread."""
    if len(losses) < DIVERGENCE_NEEDS_TRIALS:
        return None
    with np.errstate(over="ignore"):  # losses near 1e308: then none is far from the others
        median = float(np.median(losses))
        deviation = MAD_TO_DEVIATION * float(np.median(np.abs(losses - median)))
    limit = median + DIVERGENT_ROBUST_DEVIATIONS * deviation
    return limit if deviation > 0 and np.isfinite(limit) else None


def state_code(state: str) -> int:
    return _CODE[TrialState(state)]


def columns_by_key(
    space: SearchSpace, configurations: Sequence[Configuration]
) -> dict[str, NDArray[np.float64]]:
    """One float column a key, of the hyperparameters that vary; NaN where a trial has no value there."""
    columns: dict[str, NDArray[np.float64]] = {}
    active: list[NDArray[np.bool_]] = []
    every = np.ones(len(configurations), dtype=bool)
    for node in space.nodes:
        here = every
        if node.parent is not None:
            name, allowed = space.nodes[node.parent].parameter.name, node.allowed
            holds = (configuration.get(name) in allowed for configuration in configurations)
            here = active[node.parent] & np.fromiter(holds, bool, len(configurations))
        active.append(here)
        if node.parameter in space.varied:
            raw = [configuration.get(node.parameter.name) for configuration in configurations]
            columns[node.key] = np.where(here, _column(node.parameter, raw), np.nan)
    return columns


def _column(parameter: Hyperparameter, raw: list[Any]) -> NDArray[np.float64]:
    if isinstance(parameter, Categorical | Boolean):
        places = {(isinstance(c, bool), c): float(place) for place, c in enumerate(choices(parameter))}
        return np.fromiter((places.get((isinstance(v, bool), v), np.nan) for v in raw), float, len(raw))
    return np.fromiter((v if isinstance(v, int | float) else np.nan for v in raw), float, len(raw))


def choices(parameter: Hyperparameter) -> tuple[Any, ...]:
    """The choices of a categorical or boolean hyperparameter, in order."""
    if isinstance(parameter, Boolean):
        return (False, True)
    return tuple(parameter.choices) if isinstance(parameter, Categorical) else ()


def merge(older: TrialColumns, newer: TrialColumns) -> TrialColumns:
    """The trials of both; where both have one, as `newer` has it."""
    kept = ~np.isin(older.numbers, newer.numbers)
    numbers = np.concatenate([older.numbers[kept], newer.numbers])
    order = np.argsort(numbers, kind="stable")

    def joined(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([old[kept], new])[order]

    return TrialColumns(
        ids=joined(older.ids, newer.ids),
        numbers=numbers[order],
        states=joined(older.states, newer.states),
        objective=joined(older.objective, newer.objective),
        best_step=joined(older.best_step, newer.best_step),
        last_step=joined(older.last_step, newer.last_step),
        values={key: joined(older.values[key], newer.values[key]) for key in newer.values},
        finished_at=joined(older.finished_at, newer.finished_at),
    )


def fingerprint(columns: TrialColumns) -> str:
    """Equal for equal columns, in every process: what a figure of them may be cached under."""
    digest = hashlib.blake2b(digest_size=9)
    steps = [columns.best_step, columns.last_step, columns.finished_at]
    arrays: list[NDArray[Any]] = [columns.ids, columns.numbers, columns.states, columns.objective]
    for array in [*arrays, *steps, *columns.values.values()]:
        digest.update(array.tobytes())
    return digest.hexdigest()

"""The trials whose curves are read: the best of every scientific value, for these are what is compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.families import split
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.trends import losses
from tunebook_server.domain.search_space import Float, Integer, Searched
from tunebook_server.domain.trial import TrialState

BUCKETS = 5  # of a continuous scientific hyperparameter, equally wide on its scale
VALUES_SHOWN = 20  # scientific values, the best first: no reader follows more curves


@dataclass(frozen=True, slots=True)
class Run:
    """One trial with its curve of the objective, as losses."""

    place: int
    id: int
    number: int
    stopped: bool
    curve: Points


def best_of_each_value(results: Results) -> NDArray[np.intp]:
    """Places of the best trial of every combination of scientific values, the best first; that of the best
    trial of all where nothing is scientific. Without feasible trials, none.

    A continuous hyperparameter, and an integer one with many values, counts by fifths of its range.
    """
    ranked = results.ranked
    if not len(ranked) or not results.scientific:
        return ranked[:1]
    values = np.column_stack([_values(results, each)[ranked] for each in results.scientific])
    first = np.unique(np.nan_to_num(values, nan=-1.0), axis=0, return_index=True)[1]
    return ranked[np.sort(first)][:VALUES_SHOWN]


def leading_runs(results: Results) -> list[Run]:
    """The best of every scientific value, of those whose curve is at hand."""
    return [run for place in best_of_each_value(results) if (run := _run(results, int(place)))]


def ranked_runs(results: Results) -> list[Run]:
    """Every feasible trial whose curve is at hand, the best first."""
    read = np.isin(results.columns.ids[results.ranked], list(results.curves))
    return [run for place in results.ranked[read] if (run := _run(results, int(place)))]


def training_losses(results: Results, trial_id: int) -> Points | None:
    """The training curve, lower better: a loss that stands in for an accuracy keeps its own direction."""
    points = results.training_curve(trial_id)
    if points is None:
        return None
    family = split(results.objective.metric)[1]
    own = any(split(name) == ("train", family) for name in results.curves[trial_id])
    return losses(points, results.objective.sign if own else 1.0)


def _run(results: Results, place: int) -> Run | None:
    columns = results.columns
    points = results.reported(int(columns.ids[place]), results.objective.metric)
    if points is None or not len(points):
        return None
    stopped = bool(columns.in_state(TrialState.STOPPED)[place])
    number = int(columns.numbers[place])
    return Run(place, int(columns.ids[place]), number, stopped, losses(points, results.objective.sign))


def _values(results: Results, parameter: Searched) -> NDArray[np.float64]:
    """One number a scientific value, a trial each; NaN where inactive."""
    key = results.space.key(parameter)
    column = results.columns.values[key]
    if isinstance(parameter, Float) or (isinstance(parameter, Integer) and parameter.size > 2 * BUCKETS):  # type: ignore[operator]
        return np.clip(np.floor(BUCKETS * results.units(key)), 0, BUCKETS - 1)
    return column

"""What a study has shown so far: the one input of every finding."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.families import split
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import Float, Integer, Searched, SearchSpace
from tunebook_server.domain.trial_columns import TrialColumns, choices

Curves = Mapping[str, Points]
"""The curves of one trial by metric."""


@dataclass(frozen=True)
class Results:
    """`curves`: by trial id, of a bounded choice of trials (the best of each scientific value, the best of
    all, and a spread of the rest), each curve as reported or, if it is very long, thinned to its extremes;
    `samples` has of the latter, where noise matters, runs of the points that were reported.

    `thresholds` overrides constants by their names ("boundary.edge_share"); `seed` is that of every
    resampling; `retrain_deviation` the standard deviation of the objective between retrainings of one
    configuration.
    """

    objective: Objective
    space: SearchSpace
    budget: int
    columns: TrialColumns
    curves: Mapping[int, Curves] = field(default_factory=dict)
    samples: Mapping[int, Curves] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    retrain_deviation: float | None = None
    seed: int = 0

    def threshold(self, threshold: Threshold) -> float:
        return self.thresholds.get(threshold.name, threshold.default)

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """The objective with lower better, a value a trial; NaN for none."""
        return self.objective.sign * self.columns.objective

    @cached_property
    def divergent(self) -> NDArray[np.bool_]:
        return self.columns.divergent(self.objective)

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Ended with a value, and not divergent."""
        return self.columns.feasible & ~self.divergent

    @cached_property
    def infeasible(self) -> NDArray[np.bool_]:
        """Infeasible, or finished with a value uncharacteristically bad."""
        return self.columns.infeasible | self.divergent

    @cached_property
    def ranked(self) -> NDArray[np.intp]:
        """Places of the feasible trials, the best first; of equals the earlier."""
        places = np.flatnonzero(self.feasible)
        return places[np.argsort(self.losses[places], kind="stable")]

    @property
    def scientific(self) -> tuple[Searched, ...]:
        return tuple(each for each in self.space.varied if each.role == "scientific")

    @property
    def nuisance(self) -> tuple[Searched, ...]:
        return tuple(each for each in self.space.varied if each.role == "nuisance")

    def units(self, key: str) -> NDArray[np.float64]:
        """The place of each trial in the range of a hyperparameter, on its scale: 0 at low, 1 at high; NaN
        where it has none. Beyond [0, 1] for values recorded outside the range."""
        return unit_column(self.space.parameter(key), self.columns.values[key])  # type: ignore[arg-type]

    def training_curve(self, trial_id: int) -> Points | None:
        """Of the objective's counterpart on the training set, `train/error` of `valid/error`; where there is
        none, the training loss."""
        found = self.curves.get(trial_id, {})
        family = split(self.objective.metric)[1]
        train = {split(name)[1]: name for name in found if split(name)[0] == "train"}
        name = train.get(family, train.get("loss"))
        return None if name is None else self.reported(trial_id, name)

    def objective_curve(self, trial_id: int) -> Points | None:
        return self.curves.get(trial_id, {}).get(self.objective.metric)

    def reported(self, trial_id: int, metric: str) -> Points | None:
        """A curve, or the sample of it, whose noise is that of the points that were reported."""
        sample = self.samples.get(trial_id, {}).get(metric)
        return self.curves.get(trial_id, {}).get(metric) if sample is None else sample


def unit_column(parameter: Searched, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if isinstance(parameter, Float | Integer):
        low, high, x = float(parameter.low), float(parameter.high), values
        if parameter.scale == "log":
            with np.errstate(invalid="ignore", divide="ignore"):
                x = np.where(values > 0, np.log(values), np.nan)
            low, high = float(np.log(low)), float(np.log(high))
        return (x - low) / (high - low) if high > low else np.where(np.isnan(x), np.nan, 0.5)
    return (values + 0.5) / max(len(choices(parameter)), 1)

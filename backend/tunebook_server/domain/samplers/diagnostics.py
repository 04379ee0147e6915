"""How well a Gaussian process understands a study: each loss as the other trials predict it.

Leave-one-out predictions in closed form (Rasmussen & Williams, "Gaussian Processes for Machine Learning",
2006, section 5.4.2), with the kernel and the trials that the sampler `bayesian` would use.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from tunebook_server.domain.samplers import bayesian
from tunebook_server.domain.samplers import gaussian_process as gp
from tunebook_server.domain.samplers.columns import Columns
from tunebook_server.domain.samplers.history import History
from tunebook_server.domain.samplers.losses import standardised

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Predictions:
    """`rows`: places in the history; the others are of that length, in units of the losses' spread, in which
    bad ones are drawn together."""

    rows: NDArray[np.intp]
    observed: Array
    mean: Array
    deviation: Array

    @property
    def explained(self) -> float:
        """The share of the variance that is predicted; below 0 where the mean would do better, 0 of none."""
        rest, whole = float(((self.observed - self.mean) ** 2).mean()), float(self.observed.var())
        return 1.0 - rest / whole if whole > 0 else 0.0


def predictions(shape: Columns, history: History) -> Predictions | None:
    """None of fewer than three losses."""
    valued = np.flatnonzero(history.valued)
    if len(valued) < 3:
        return None
    values = standardised(history.losses[valued])
    inputs = bayesian.inputs(shape, history.points)
    chosen = bayesian.kept(values)
    rows = valued[chosen]
    kernel = bayesian.fitted(inputs.rows(valued), history.losses[valued])
    posterior = gp.condition(kernel, inputs.rows(rows), values[chosen])
    precision = np.diag(cho_solve((posterior.factor, True), np.eye(len(rows))))
    mean = values[chosen] - posterior.weights / precision
    return Predictions(rows, values[chosen], mean, np.sqrt(1.0 / precision))

"""Two losses at once: where two Gaussian processes promise the most hypervolume.

The expected hypervolume improvement of two independent losses is a sum over the strips between the points of
the front, each a product of two expected improvements (Emmerich, Deutz & Klinkenberg, "Hypervolume-based
expected improvement: monotonicity properties and exact computation", 2011; Yang et al., 2019).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain import pareto
from tunebook_server.domain.samplers import gaussian_process as gp
from tunebook_server.domain.samplers.acquisition import expected_improvement
from tunebook_server.domain.samplers.history import thinned

Array = NDArray[np.float64]

MARGIN, MARGIN_LEAST = 0.1, 0.1
"""How far beyond the worst of the front the reference lies: a share of the front's extent, and deviations."""
FRONT_MOST = 40
SMALLEST = 1e-300


@dataclass(frozen=True)
class Front:
    """`losses`: (m, 2), by rising first loss; `reference`: what must be surpassed in both to count."""

    losses: Array
    reference: Array

    def log_improvement(self, means: Array, deviations: Array) -> Array:
        """log E[hypervolume gained] of points whose losses are normal; both of shape (n, 2)."""
        ends = np.append(self.losses[:, 0], self.reference[0])
        tops = np.append(self.reference[1], self.losses[:, 1])
        wide = expected_improvement(means[:, :1], deviations[:, :1], ends)
        wide[:, 1:] -= wide[:, :-1].copy()
        high = expected_improvement(means[:, 1:], deviations[:, 1:], tops)
        found: Array = np.log(np.maximum((np.maximum(wide, 0.0) * high).sum(axis=1), SMALLEST))
        return found


def front_of(losses: Array) -> tuple[Front, NDArray[np.intp]]:
    """Of points with these two losses, and their places."""
    places = thinned(pareto.front(losses[:, 0], losses[:, 1]), FRONT_MOST)
    places = places[np.argsort(losses[places, 0], kind="stable")]
    found = losses[places]
    worst, extent = found.max(axis=0), np.ptp(found, axis=0)
    return Front(found, worst + np.maximum(MARGIN * extent, MARGIN_LEAST)), places


@dataclass(frozen=True)
class Losses:
    """Two models of the same trials, and the front of what they expect of those."""

    first: gp.Posterior
    second: gp.Posterior
    front: Front

    def promise(self, at: gp.Inputs) -> Array:
        (one, one_variance), (two, two_variance) = self.first.predict(at), self.second.predict(at)
        deviations = np.sqrt(np.column_stack([one_variance, two_variance]))
        return self.front.log_improvement(np.column_stack([one, two]), deviations)

    def believing(self, at: gp.Inputs) -> "Losses":
        return replace(self, first=self.first.believing(at), second=self.second.believing(at))

"""What a sampler that learns knows of a study: its trials as points, and what came of them."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Fate(IntEnum):
    FINISHED = 0
    """Ran to its end: its loss counts."""
    STOPPED = 1
    """Ended early: it would have come at least as far as its loss."""
    INFEASIBLE = 2
    PENDING = 3
    """Queued, claimed or running."""


@dataclass(frozen=True)
class History:
    """Rows in the order in which trials ended, then pending ones by number.

    `points`: (n, D), see `columns.Points`; outside [0, 1] for values of an earlier, wider space. `losses`:
    (n,), what is minimised; finite for finished and stopped trials, NaN for all others. `fates`: (n,).
    """

    points: NDArray[np.float64]
    losses: NDArray[np.float64]
    fates: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.fates)

    def of(self, *fates: Fate) -> NDArray[np.bool_]:
        return np.isin(self.fates, fates)

    @property
    def valued(self) -> NDArray[np.bool_]:
        return self.of(Fate.FINISHED, Fate.STOPPED)

    def with_pending(self, point: NDArray[np.float64]) -> "History":
        """One more pending trial, at its end."""
        return History(
            np.vstack([self.points, point]),
            np.append(self.losses, np.nan),
            np.append(self.fates, np.int8(Fate.PENDING)),
        )


def nothing(dimensions: int) -> History:
    """Of a study without trials."""
    return History(np.empty((0, dimensions)), np.empty(0), np.empty(0, np.int8))

"""What a sampler that learns knows of a study: its trials as points, and what came of them."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Fate(IntEnum):
    FINISHED = 0
    """Ran to its end: its loss counts."""
    STOPPED = 1
    """Ended early: it would have come at least as far as its loss, where it has one."""
    INFEASIBLE = 2
    PENDING = 3
    """Queued, claimed or running."""
    ASIDE = 4
    """Says nothing about its values, or nothing to compare: all that counts is that it was tried."""


@dataclass(frozen=True)
class History:
    """Rows in the order in which trials ended, then pending ones by number, those of earlier studies first.

    `points`: (n, D), see `columns.Points`; outside [0, 1] for values of an earlier, wider space. `losses`:
    (n,), what is minimised; finite for finished trials, for stopped ones where they can be compared with
    those, NaN for all others. `fates`: (n,).
    """

    points: NDArray[np.float64]
    losses: NDArray[np.float64]
    fates: NDArray[np.int8]
    known: int = 0
    """So many rows, the first ones, are of earlier studies."""
    others: NDArray[np.float64] | None = None
    """(n, k): losses in other metrics, where the study trades them off; NaN where there is none."""

    def __len__(self) -> int:
        return len(self.fates)

    def of(self, *fates: Fate) -> NDArray[np.bool_]:
        return np.isin(self.fates, fates)

    @property
    def valued(self) -> NDArray[np.bool_]:
        return self.of(Fate.FINISHED, Fate.STOPPED) & np.isfinite(self.losses)

    def with_pending(self, point: NDArray[np.float64]) -> "History":
        """One more pending trial, at its end."""
        return History(
            np.vstack([self.points, point]),
            np.append(self.losses, np.nan),
            np.append(self.fates, np.int8(Fate.PENDING)),
            self.known,
            None if self.others is None else np.pad(self.others, ((0, 1), (0, 0)), constant_values=np.nan),
        )


def thinned(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most so many of them: half the newest, half at equal steps."""
    if len(rows) <= most:
        return rows
    half = most // 2
    steps = np.linspace(0, len(rows) - half - 1, most - half).astype(np.intp)
    return np.concatenate([rows[steps], rows[len(rows) - half :]])


def nothing(dimensions: int) -> History:
    """Of a study without trials."""
    return History(np.empty((0, dimensions)), np.empty(0), np.empty(0, np.int8))

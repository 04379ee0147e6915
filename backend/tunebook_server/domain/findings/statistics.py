"""Intervals and tests that several findings share."""

import numpy as np
from numpy.typing import ArrayLike

NORMAL_95 = 1.959963984540054  # two-sided


def wilson(count: int, total: int, *, deviations: float = NORMAL_95) -> tuple[float, float]:
    """The interval of a share, within [0, 1] and honest for 0 of n too (Wilson 1927, "Probable inference");
    [0, 1] of nothing."""
    if total == 0:
        return 0.0, 1.0
    share, square = count / total, deviations**2
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = deviations / (1 + square / total) * (share * (1 - share) / total + square / (4 * total**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def uneven_p(counts: ArrayLike, shares: ArrayLike) -> float:
    """The chance of counts at least this uneven, where each draw falls into a cell by its share (Pearson's
    chi-square test); 1 with fewer than two cells or nothing counted."""
    from scipy.special import chdtrc

    found, expected = np.asarray(counts, dtype=float), np.asarray(shares, dtype=float)
    expected = expected / expected.sum() * found.sum()
    if len(found) < 2 or found.sum() == 0:
        return 1.0
    return float(chdtrc(len(found) - 1, float(((found - expected) ** 2 / expected).sum())))

"""Losses as a model wants them: standardised, and no bad one so far away that it flattens the others."""

import numpy as np
from numpy.typing import NDArray

SOFT_FROM = 2.0
"""Above the median, in deviations of the better half; from there on a loss counts by its logarithm."""


def standardised(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean 0 and variance 1, in the same order; zeros where all are equal. Takes any finite magnitude."""
    spread = float(np.max(np.abs(losses), initial=0.0))
    if spread == 0.0:
        return np.zeros_like(losses)
    scaled = losses / spread
    scaled = scaled - np.median(scaled)
    good = scaled[scaled <= 0]
    deviation = float(np.sqrt(np.mean(good**2))) or float(np.std(scaled))
    if deviation < 1e-14:
        return np.zeros_like(losses)
    with np.errstate(over="ignore"):
        scaled = scaled / deviation
    far = np.maximum(scaled - SOFT_FROM, 0.0)
    scaled = np.where(scaled > SOFT_FROM, SOFT_FROM + np.log1p(far), scaled)
    scaled = scaled - scaled.mean()
    found: NDArray[np.float64] = scaled / (float(scaled.std()) or 1.0)
    return found

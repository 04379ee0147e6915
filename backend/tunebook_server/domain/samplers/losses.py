"""Losses as a model wants them: standardised, and no bad one so far away that it flattens the others."""

import numpy as np
from numpy.typing import NDArray

SOFT_FROM = 2.0
"""Above the median, in deviations of the better half: from there on losses are drawn together."""
ROUNDING = 1e-14
"""Differences of this share of a loss are none."""


def standardised(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean 0 and variance 1, in the same order; zeros where all are equal. Takes any finite magnitude.

    Centre and scale are those of the better half, which no bad loss can touch; what is worse than `SOFT_FROM`
    deviations comes to lie less than one further.
    """
    if not len(losses):
        return np.zeros_like(losses)
    middle = float(np.sort(losses)[(len(losses) - 1) // 2])
    apart = losses / 2 - middle / 2  # halves: a difference of two losses may be no float
    unit = _unit(apart, middle)
    if unit == 0.0:
        return np.zeros_like(losses)
    with np.errstate(over="ignore"):
        scaled = apart / unit
    far = np.maximum(scaled - SOFT_FROM, 0.0)
    drawn = np.where(np.isinf(far), 1.0, far / (1.0 + np.where(np.isinf(far), 0.0, far)))
    scaled = np.minimum(scaled, SOFT_FROM) + drawn
    scaled = scaled - scaled.mean()
    found: NDArray[np.float64] = scaled / (float(scaled.std()) or 1.0)
    return found


def _unit(apart: NDArray[np.float64], middle: float) -> float:
    """The deviation of the better half from the middle; of the worse half, where the better one is equal."""
    better, worse = apart[apart <= 0], apart[apart > 0]
    size = float(-better.min())
    if size > ROUNDING * abs(middle):
        return size * float(np.sqrt(np.mean((better / size) ** 2)))
    return float(np.median(worse)) if len(worse) else 0.0

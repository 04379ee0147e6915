"""How much a point promises, from what a model says of it; always the higher the better."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

Array = NDArray[np.float64]

ROOT_TWO_PI, ROOT_HALF_PI = np.sqrt(2 * np.pi), np.sqrt(np.pi / 2)
ASYMPTOTIC_BELOW = -1e3


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """log E[max(best − f, 0)] of a loss f, exact far in the tail too, where EI itself is 0 (Ament et al.,
    "Unexpected improvements to expected improvement for Bayesian optimization", 2023)."""
    return np.log(deviation) + _log_h((best - mean) / deviation)


def expected_improvement(mean: Array, deviation: Array, best: Array) -> Array:
    """E[max(best − f, 0)] itself, where it is summed; 0 far in the tail."""
    z = (best - mean) / deviation
    return np.asarray(deviation * np.maximum(np.exp(-0.5 * z**2) / ROOT_TWO_PI + z * ndtr(z), 0.0))


def log_optimism(mean: Array, deviation: Array, best: float, beta: float) -> Array:
    """Orders points as the lower confidence bound mean − beta · deviation does (Srinivas et al., 2010)."""
    gain = best - mean + beta * deviation
    return np.log(np.logaddexp(0.0, 8.0 * gain))


def log_probability_above(mean: Array, deviation: Array, threshold: float) -> Array:
    found: Array = log_ndtr((mean - threshold) / deviation)
    return found


def _log_h(z: Array) -> Array:
    """log(φ(z) + z Φ(z))."""
    near, far = np.maximum(z, -1.0), np.minimum(z, -1.0)
    direct = np.log(np.exp(-0.5 * near**2) / ROOT_TWO_PI + near * ndtr(near))
    clipped = np.maximum(far, ASYMPTOTIC_BELOW)
    rest = np.log1p(clipped * ROOT_HALF_PI * erfcx(-clipped / np.sqrt(2)))
    rest = np.where(far < ASYMPTOTIC_BELOW, -2.0 * np.log(-far), rest)
    tail = -0.5 * far**2 - np.log(ROOT_TWO_PI) + rest
    found: Array = np.where(z > -1.0, direct, tail)
    return found

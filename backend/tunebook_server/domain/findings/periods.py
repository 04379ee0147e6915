"""A period in a curve: Fisher's test on the periodogram of what is left after the trend."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.chunk import Points

POINTS_MOST = 512
POINTS_NEEDED = 40  # after the start is left out
START = 0.25  # of the curve: its fast fall is not stationary
TREND_POINTS = 0.25  # of the rest: the window of the local line that is the trend
PERIODS_NEEDED = 5  # in the curve: slower ones are trend
CLIP_DEVIATIONS = 3.0  # a single spike is no period
MEMORY_MOST = 0.99
MAD_TO_DEVIATION = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class Period:
    steps: float
    chance: float
    """How likely noise alone has a peak as high, over all the frequencies of this curve."""
    share: float
    """Of the variance about the trend."""


def period(points: Points) -> Period | None:
    """The strongest; None for too few finite points, or values without noise.

    Fisher's g (1929) over the Lomb-Scargle periodogram, which for even steps is the classical one, after
    division by the spectrum of a first-order autoregression: noise of neighbours that depend on each other
    has its own hills.
    """
    steps, values = _settled(points)
    if len(steps) < POINTS_NEEDED:
        return None
    left = _clipped(values - _trend(steps, values))
    if left is None:
        return None
    count = len(left)
    waves = np.arange(2 * PERIODS_NEEDED, count) / 2  # halves too: a period seldom fits the curve exactly
    place = (steps - steps[0]) / (steps[-1] - steps[0]) * (count - 1) / count  # one more interval closes it
    power = _power(place, left, waves)
    memory = memory_of(left)
    shape = 1 + memory**2 - 2 * memory * np.cos(2 * np.pi * waves / count)
    flat = power * shape
    best = int(flat.argmax())
    chance = fisher(2 * float(flat[best] / flat.sum()), len(waves))
    span = float(steps[-1] - steps[0]) * count / (count - 1)
    return Period(span / float(waves[best]), chance, min(1.0, float(2 * power[best] / (left @ left))))


def fisher(g: float, count: int) -> float:
    """The chance that the largest of `count` half frequencies has more than the share `g` of the power at the
    whole ones: the first term of Fisher's alternating series, which bounds the chance from above and is exact
    where it is small.
    """
    return float(min(1.0, count * max(0.0, 1 - g) ** (count / 2 - 1)))


def _settled(points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The finite points after the start, neighbours averaged where there are many; values within [-1, 1]."""
    finite = np.flatnonzero(np.isfinite(points.values))
    finite = finite[int(START * len(finite)) :]
    steps, values = points.steps[finite].astype(float), points.values[finite]
    largest = float(np.abs(values).max(initial=0.0))
    if largest > 0:
        values = values / largest
    each = -(-len(steps) // POINTS_MOST)
    if each > 1:
        whole = len(steps) // each * each
        steps = steps[:whole].reshape(-1, each).mean(axis=1)
        values = values[:whole].reshape(-1, each).mean(axis=1)
    return steps, values


def _trend(steps: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A cubic of the logarithm of time, as losses fall; then the local line of what that leaves."""
    done = (steps - steps[0]) / (steps[-1] - steps[0])
    age = np.log(done + START / (1 - START))
    powers = ((age - age.mean()) / np.ptp(age))[:, None] ** np.arange(4)
    cubic = powers @ np.linalg.lstsq(powers, values, rcond=None)[0]
    both: NDArray[np.float64] = cubic + _local_line(done, values - cubic)
    return both


def memory_of(left: NDArray[np.float64]) -> float:
    """The correlation of neighbours, of values about 0; its estimate is too low by about
    (1 + 3 memory) / count (Kendall 1954).
    """
    power = float(left @ left)
    found = float(left[1:] @ left[:-1]) / power if power > 0 else 0.0
    return min(MEMORY_MOST, found + max(0.0, 1 + 3 * found) / len(left))


def _local_line(steps: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    count = len(values)
    width = max(5, int(TREND_POINTS * count)) | 1
    first = np.clip(np.arange(count) - width // 2, 0, count - width)
    x = np.lib.stride_tricks.sliding_window_view(steps, width)[first]
    y = np.lib.stride_tricks.sliding_window_view(values, width)[first]
    middle, level = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    slope = ((x - middle) * (y - level)).sum(axis=1) / ((x - middle) ** 2).sum(axis=1)
    line: NDArray[np.float64] = level[:, 0] + slope * (steps - middle[:, 0])
    return line


def _clipped(left: NDArray[np.float64]) -> NDArray[np.float64] | None:
    left = left - np.median(left)
    deviation = MAD_TO_DEVIATION * float(np.median(np.abs(left)))
    if not deviation > 1e-9:  # of values of magnitude 1: rounding, not noise
        return None
    left = np.clip(left / deviation, -CLIP_DEVIATIONS, CLIP_DEVIATIONS)
    centred: NDArray[np.float64] = left - left.mean()
    return centred


def _power(
    place: NDArray[np.float64], values: NDArray[np.float64], waves: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Lomb-Scargle, not normalised, at whole and half numbers of waves over the curve."""
    angle = 2 * np.pi * waves[:, None] * place
    cosine, sine = np.cos(angle), np.sin(angle)
    squares, products = (cosine**2).sum(axis=1), (cosine * sine).sum(axis=1)
    delay = np.arctan2(2 * products, 2 * squares - len(place)) / 2  # makes cosine and sine orthogonal
    along, across = np.cos(delay), np.sin(delay)
    in_phase, aside = cosine @ values, sine @ values
    turned = along**2 * squares + 2 * along * across * products + across**2 * (len(place) - squares)
    power: NDArray[np.float64] = (
        (along * in_phase + across * aside) ** 2 / turned
        + (along * aside - across * in_phase) ** 2 / (len(place) - turned)
    ) / 2
    return power

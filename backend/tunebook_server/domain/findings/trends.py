"""What a noisy curve does: its slope with an interval, its noise, and its level along the run.

Every function takes losses (lower is better, NaN for what is not finite) and answers in their unit. Nothing
assumes normal noise, evenly spaced steps or distinct values: slopes are Theil-Sen's (Sen, JASA 1968), spreads
are medians of absolute deviations.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.trial_columns import MAD_TO_DEVIATION

LARGEST = 1e150  # a value beyond it is a divergence; below it, no difference or slope overflows
MOST_POINTS = 300  # of one slope: Theil-Sen looks at every pair
LATE_SHARE = 0.20  # of the run: the playbook's "late"
LATE_ENOUGH = 15  # points that say how wide the noise is
HALF = 0.5
LATE_NEEDED = 5  # points; with fewer, neither a deviation nor an interval means anything
LEVEL_SHARE = 0.10  # of the points, in one running median
START_SHARE = 0.10  # of the run: the steep start, whose height says nothing of what came later
FLOOR_SHARE = 0.02  # of the improvement after the start: below it a change is small, noise or not
WHOLE_SHARE = 0.0005  # of the whole fall of the curve: a long tail that hardly moves has arrived
WILD_SHARE = 0.10  # of the improvement after the start, at most: a first value may be anything
ROUNDING = 1e-9  # of the largest value: below it a change is a rounding error
CONFIDENCE = 0.95
CORRELATION_MOST = 0.9
OUTLIER_DEVIATIONS = 4.0
CORRELATION_NEEDED = 8  # points; with fewer an autocorrelation cannot be estimated


@dataclass(frozen=True, slots=True)
class Trend:
    """A change a step with the ends of its interval; `change` is that over the steps it was fitted on."""

    slope: float
    low: float
    high: float
    change: float

    @property
    def falls(self) -> bool:
        return self.high < 0

    @property
    def rises(self) -> bool:
        return self.low > 0


def losses(points: Points, sign: float) -> Points:
    """Lower is better; NaN for what is not finite, or as good as infinite."""
    usable = np.isfinite(points.values)
    usable[usable] = np.abs(points.values[usable]) <= LARGEST
    return Points(points.steps, np.where(usable, sign * points.values, np.nan))


def between(points: Points, start: float, end: float) -> Points:
    """The finite points between two shares of the run, both ends included."""
    if not len(points):
        return points
    place = progress(points)
    return points.at(np.flatnonzero((place >= start) & (place <= end) & np.isfinite(points.values)))


def last(points: Points, share: float) -> Points:
    """The finite points of the last share of the run."""
    return between(points, 1 - share, 1.0)


def progress(points: Points) -> NDArray[np.float64]:
    """The place of every point in the run: 0 at the first step, 1 at the last."""
    steps = points.steps.astype(np.float64)
    place: NDArray[np.float64] = (steps - steps[0]) / max(steps[-1] - steps[0], 1.0)
    return place


def trend(points: Points) -> Trend:
    """Theil-Sen over finite points, at least two, with the 95 % interval of their slope.

    The interval is Sen's, widened by sqrt((1 + r) / (1 - r)) for a correlation r of neighbours round a bent
    line: evaluations of slowly moving weights are not independent.
    """
    from scipy.stats import theilslopes

    thin = _thinned(points)
    x = thin.steps.astype(np.float64) - float(thin.steps[0])
    length = x[-1]
    found = theilslopes(thin.values, x / length, CONFIDENCE)
    wider = _wider(_correlation(_round_a_parabola(x / length, thin.values, found.slope)))
    slope = float(found.slope)
    low = slope - wider * (slope - float(found.low_slope))
    high = slope + wider * (float(found.high_slope) - slope)
    whole = float(points.steps[-1] - points.steps[0])
    return Trend(slope / whole, low / whole, high / whole, slope)


def deviation(points: Points) -> float:
    """The robust standard deviation of finite points round their Theil-Sen line; 0 for fewer than three.

    Of values that come in quanta, as an error rate on a few hundred examples does, at least half a quantum:
    most of them tie, and a median of zeros would call the rest significant.
    """
    if len(points) < 3:
        return 0.0
    x = points.steps.astype(np.float64) - float(points.steps[0])
    around = points.values - trend(points).slope * x
    spread = np.median(np.abs(around - np.median(around)))
    few = len(points) / (len(points) - 2)  # a line through few points takes some of their spread with it
    return max(float(MAD_TO_DEVIATION * spread * few), quantum(points.values) / 2)


def quantum(values: NDArray[np.float64]) -> float:
    """The smallest difference between values that tie; 0 where no two are equal, or all are."""
    if not len(values):
        return 0.0
    rounding = ROUNDING * float(np.abs(values).max())
    gaps = np.diff(np.sort(values))
    apart = gaps[gaps > rounding]
    return float(apart.min()) if 0 < len(apart) < len(gaps) else 0.0


def noise(points: Points) -> float:
    """Late noise: the deviation of the evaluations in the last 20 % of the run, or of the last few where
    that is a handful."""
    late = last(points, LATE_SHARE)
    if len(late) < LATE_ENOUGH:
        ran = last(points, 1 - START_SHARE)
        late = ran.at(np.arange(max(len(ran) - LATE_ENOUGH, 0), len(ran)))
    return deviation(late)


def drift(points: Points) -> float:
    """By how much the level of a curve may move through late noise alone: noise that is correlated from one
    evaluation to the next does not average out, and counts for more."""
    half = last(points, HALF)
    if len(half) < CORRELATION_NEEDED:
        return noise(points)
    rest = _round_a_parabola(progress(half), half.values, trend(half).change)
    spread = float(MAD_TO_DEVIATION * np.median(np.abs(rest)))
    return max(noise(points), spread) * _wider(_correlation(rest))


def least_change(points: Points) -> float:
    """The smallest change of a curve that is worth a word, whatever its noise: a share of how far it came
    after its start, and more than rounding."""
    ran = between(points, START_SHARE, 1.0)
    if not len(ran):
        return 0.0
    came = float(np.median(ran.values[:3]) - levels(ran).values.min())
    fell = float(np.nanmax(points.values)) - float(ran.values.min())
    floor = max(FLOOR_SHARE * came, min(WHOLE_SHARE * fell, WILD_SHARE * came))
    return max(floor, ROUNDING * float(np.abs(ran.values).max()))


def levels(points: Points) -> Points:
    """Running medians of finite points, each at its middle step; none reaches over an end of the curve."""
    finite = points.at(np.flatnonzero(np.isfinite(points.values)))
    width = level_width(len(finite))
    if len(finite) < width:
        return finite
    windows = np.lib.stride_tricks.sliding_window_view(finite.values, width)
    middle = finite.steps[width // 2 : len(finite) - width // 2]
    return Points(middle, np.median(windows, axis=1))


def level_width(count: int) -> int:
    """Odd, and at least five points."""
    return max(int(LEVEL_SHARE * count) // 2 * 2 + 1, 5)


def _thinned(points: Points) -> Points:
    if len(points) <= MOST_POINTS:
        return points
    return points.at(np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(np.intp))


def _wider(correlation: float) -> float:
    """The factor on a standard error of correlated values: n of them say as much as n (1 - r) / (1 + r)."""
    return float(np.sqrt((1 + correlation) / (1 - correlation)))


def _round_a_parabola(
    x: NDArray[np.float64], values: NDArray[np.float64], slope: float
) -> NDArray[np.float64]:
    """What is left of values round a bent line, for a curve that bends is not noise; outliers are cut short
    first."""
    around = values - slope * x
    around = around - np.median(around)
    spread = MAD_TO_DEVIATION * float(np.median(np.abs(around)))
    if spread == 0:
        return np.zeros(len(x))
    around = np.clip(around / spread, -OUTLIER_DEVIATIONS, OUTLIER_DEVIATIONS)
    rest: NDArray[np.float64] = spread * (around - np.polynomial.Polynomial.fit(x, around, 2)(x))
    return rest


def _correlation(rest: NDArray[np.float64]) -> float:
    """Of neighbours, from 0 to `CORRELATION_MOST`; 0 where there are too few to tell."""
    largest = float(np.abs(rest).max())
    if len(rest) < CORRELATION_NEEDED or largest == 0:
        return 0.0
    rest = rest / largest
    return float(np.clip((rest[1:] * rest[:-1]).sum() / (rest**2).sum(), 0.0, CORRELATION_MOST))

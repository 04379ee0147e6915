"""Training loss rises: does the loss on the training set go up over the run?

Deep Learning Tuning Playbook, "Examining the training curves": a training loss that increases during training
usually indicates a bug in the training pipeline.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.findings.finding import Finding, Shown, Verdict, not_enough
from tunebook_server.domain.findings.periods import memory_of
from tunebook_server.domain.findings.results import Results
from tunebook_server.domain.findings.threshold import Threshold
from tunebook_server.domain.findings.training_series import Series, jump, robust_deviation, training_series

ITEM = "training loss rises"
NEEDED_POINTS = 8  # below it Kendall's test has no power
BEST_TRIALS = 3
RISING_SHARE = Threshold(
    "training_loss.rising_share",
    0.5,
    0.01,
    0.99,
    "The share of the best trials, or of all, whose training loss may rise.",
)
CONFIDENCE = 0.99  # of the slope's interval, since several curves are looked at
RISE_DEVIATIONS = 2.0  # over the run: less is the wandering of a plateau
STEADY = 0.9  # Kendall's tau, nine of ten pairs in rising order: of random walks of 60 points not 1 in 1,000
BLOCKS = 60  # whose medians enter, so that neighbours depend on each other less
MEMORY_MOST = 0.95  # of neighbouring blocks
SHOWN_TRIALS = 5


@dataclass(frozen=True, slots=True)
class Slope:
    """Of a training loss, in parts of its own range over the whole run."""

    trial: int
    metric: str
    rise: float
    lower: float
    upper: float
    rises: bool


def check(results: Results) -> list[Finding]:
    """Over the feasible trials with a curve; one that falls and then jumps belongs to instability."""
    slopes: list[Slope] = []
    for trial in results.columns.ids[results.ranked].tolist():
        series = training_series(results, trial)
        if series is not None and len(series) >= NEEDED_POINTS and jump(series) is None:
            slopes.append(slope(trial, series))
    if not slopes:
        found = not_enough(ITEM, 0, 1, f"feasible trial with a training loss of {NEEDED_POINTS} points")
        return [found]
    return [_finding(results, slopes)]


def slope(trial: int, series: Series) -> Slope:
    """Theil-Sen with its interval; the curve as the medians of at most `BLOCKS` blocks of points.

    A curve that climbs all along rises whatever its interval says: an exponential one, as a wrong sign in the
    update makes, bends so far from any line that what the line leaves looks like noise with memory.
    """
    from scipy.stats import kendalltau, theilslopes

    steps, values = _blocks(series.steps), _blocks(series.values)
    span, extent = float(steps[-1] - steps[0]), float(np.ptp(values))
    if not (span > 0 and extent > 0):
        return Slope(trial, series.metric, 0.0, 0.0, 0.0, False)
    x, y = (steps - steps[0]) / span, (values - values.min()) / extent
    rise, level, lower, upper = (float(part) for part in theilslopes(y, x, alpha=CONFIDENCE))
    left = y - level - rise * x
    wider = _wider(left)
    lower, upper = rise - wider * (rise - lower), rise + wider * (upper - rise)
    straight = lower > 0 and rise > RISE_DEVIATIONS * robust_deviation(left)
    rises = straight or float(kendalltau(x, y).statistic) >= STEADY
    return Slope(trial, series.metric, rise, lower, upper, rises)


def _wider(left: NDArray[np.float64]) -> float:
    """How much wider the interval of a slope is where neighbours depend on each other, as in a first-order
    autoregression.
    """
    memory = min(MEMORY_MOST, max(0.0, memory_of(left - left.mean())))
    return float(np.sqrt((1 + memory) / (1 - memory)))


def _blocks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(values) <= BLOCKS:
        return values
    return np.array([np.median(block) for block in np.array_split(values, BLOCKS)])


def _finding(results: Results, slopes: list[Slope]) -> Finding:
    """`slopes` from the best trial to the worst."""
    limit = results.threshold(RISING_SHARE)
    best = slopes[:BEST_TRIALS]
    rising = [each for each in slopes if each.rises]
    of_best = sum(each.rises for each in best)
    failed = of_best > limit * len(best) or len(rising) > limit * len(slopes)
    evidence = {
        "best_rising": of_best,
        "best": len(best),
        "rising": len(rising),
        "share": len(rising) / len(slopes),
        "rise": slopes[0].rise,
        "lower": slopes[0].lower,
        "upper": slopes[0].upper,
    }
    shown = (rising if failed else best)[:SHOWN_TRIALS]
    figure = Shown(
        "curves", {"trials": ",".join(str(each.trial) for each in shown), "metrics": slopes[0].metric}
    )
    verdict = Verdict.FAIL if failed else Verdict.PASS
    return Finding(
        ITEM, verdict, _sentence(slopes, rising, of_best, failed), evidence, len(slopes), "", figure
    )


def _sentence(slopes: list[Slope], rising: list[Slope], of_best: int, failed: bool) -> str:
    best = min(BEST_TRIALS, len(slopes))
    counted = f"in {of_best} of the best {best} and in {len(rising)} of all {len(slopes)} trials with curves"
    if failed:
        return f"The training loss rises over the run {counted}: probably a bug in the pipeline."
    if rising:
        return f"The training loss rises {counted}, not in most of them."
    if len(slopes) == 1:
        return "The training loss of the one trial with a curve does not rise."
    return f"The training loss rises in none of {len(slopes)} trials with curves."

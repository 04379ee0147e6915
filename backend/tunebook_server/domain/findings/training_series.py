"""The training curve of a trial as a series of losses, and the jumps in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.families import split
from tunebook_server.domain.findings.results import Curves, Results
from tunebook_server.domain.metric_roles import MetricRole, find

POINTS_MOST = 400
WINDOW = 5  # points on either side of a jump whose median is its level
BEFORE = 10  # points of steady fall that a jump needs before it
JUMP_DEVIATIONS = 3.0  # above the running minimum (playbook, instability)
JUMP_OF_FALL = 0.05  # of what the curve had fallen: less is drift
WANDERINGS = 4.0  # times the usual change from window to window, large where noise has memory
FALL_DEVIATIONS = 5.0  # a curve that fell by less was not falling
ABRUPT = 0.5  # of the later level above the lowest, gained within two windows: less is a slope
STAYS = 0.10  # the quantile of all later points that must stay above
LOST_POINTS = 2  # not finite at the end: one alone may be an evaluation that was left out
MAD_TO_DEVIATION = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class Series:
    """Finite values only, lower better, divided by the largest magnitude; arrays of one length."""

    metric: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]
    lost_at: float | None
    """The first step after the last finite value, where the curve ends in NaN or infinity."""

    def __len__(self) -> int:
        return len(self.steps)


def training_metric(results: Results, curves: Curves) -> tuple[str, float] | None:
    """The training loss and the sign that makes it a loss; where none is logged, the objective's counterpart
    on the training set."""
    family = split(results.objective.metric)[1]
    others = [name for name in curves if name != results.objective.metric]
    metric = find(others, MetricRole.TRAINING_LOSS)
    if metric is None:
        metric = next((name for name in sorted(others) if split(name) == ("train", family)), None)
    if metric is None:
        return None
    return metric, results.objective.sign if split(metric)[1] == family else 1.0


def training_series(results: Results, trial_id: int) -> Series | None:
    """At most `POINTS_MOST` points of it; None where there is no such curve."""
    curves = results.curves.get(trial_id, {})
    found = training_metric(results, curves)
    if found is None:
        return None
    metric, sign = found
    points = curves[metric]
    places = np.flatnonzero(np.isfinite(points.values))
    lost = len(places) > 0 and places[-1] < len(points) - LOST_POINTS
    lost_at = float(points.steps[places[-1] + 1]) if lost else None
    if len(places) > POINTS_MOST:
        places = places[np.linspace(0, len(places) - 1, POINTS_MOST).astype(np.intp)]
    return Series(metric, points.steps[places].astype(float), sign * scaled(points.values[places]), lost_at)


def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Within [-1, 1], so that no later sum or difference of it overflows."""
    largest = float(np.abs(values).max(initial=0.0))
    return values / largest if largest > 0 else values


def noise(values: NDArray[np.float64]) -> float:
    """The standard deviation of what is not trend, from neighbours' differences; robust against jumps."""
    return robust_deviation(np.diff(values)) / float(np.sqrt(2))


def robust_deviation(values: NDArray[np.float64]) -> float:
    """From the median absolute deviation; 0 for no values."""
    if not len(values):
        return 0.0
    return MAD_TO_DEVIATION * float(np.median(np.abs(values - np.median(values))))


def jump(series: Series) -> float | None:
    """The step at which the curve, after a steady fall, rises far above its running minimum at once, and
    stays there.

    Above its first value it counts as that: all is lost there, and how far an explosion goes says no more.
    """
    values, count = np.minimum(series.values, series.values[:1]), len(series)
    if count >= BEFORE and series.lost_at is not None and _fell(values):
        return series.lost_at
    if count < BEFORE + WINDOW:
        return None
    levels = np.median(np.lib.stride_tricks.sliding_window_view(values, WINDOW), axis=1)
    rises = levels[WINDOW:] - levels[:-WINDOW]  # from the window before a place to the one that starts there
    place = BEFORE + int(rises[BEFORE - WINDOW :].argmax())
    rise = float(rises[place - WINDOW])
    before, after = values[:place], values[place:]
    lowest = float(before.min())
    least = max(
        JUMP_DEVIATIONS * noise(before),
        WANDERINGS * robust_deviation(rises[: place - BEFORE]),
        JUMP_OF_FALL * float(before[0] - lowest),
    )
    whole = float(np.median(after) - levels[: place - WINDOW + 1].min())
    stays = float(np.quantile(after, STAYS)) > lowest + least
    if not (_fell(before) and stays and rise > least and rise >= ABRUPT * whole):
        return None
    return float(series.steps[place])


def _fell(values: NDArray[np.float64]) -> bool:
    """From its first point to its end, by much more than noise."""
    fall = float(values[0] - np.median(values[-WINDOW:]))
    return fall > FALL_DEVIATIONS * noise(values) and fall > 0

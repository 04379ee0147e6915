"""A curve: the points of one metric of one trial, over all of its attempts."""

import math
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain.chunk import Points, Steps, Values
from tunebook_server.domain.decimate import decimate
from tunebook_server.domain.objective import Objective


@dataclass(frozen=True, slots=True)
class Curve:
    """What a plot draws: `steps` increase strictly; `epoch` is the newest attempt with points in it.

    `total_points` counts the points of the range before decimation (of a long curve: those of the chunks that
    were read). `superseded`: reported by an attempt after the step from which a later one resumed.
    """

    trial_id: int
    number: int
    metric: str
    epoch: int
    steps: Steps
    values: Values
    total_points: int
    decimated: bool
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """A curve in one row. Extremes are over finite values, at the earliest step that reaches them."""

    points: int
    first_step: int
    last_step: int
    last_value: float
    min_value: float | None
    min_step: int | None
    max_value: float | None
    max_step: int | None
    nonfinite_points: int


@dataclass(frozen=True, slots=True)
class CurveSummary:
    """The summary of what one attempt reported; `visible_until` is the last step that later attempts left
    valid.
    """

    trial_id: int
    metric: str
    epoch: int
    summary: Summary
    visible_until: int | None

    @property
    def superseded_in_part(self) -> bool:
        return self.visible_until is not None and self.summary.last_step > self.visible_until


@dataclass(frozen=True, slots=True)
class Score:
    """What a trial's row keeps of its objective metric."""

    objective: float | None
    best_step: int | None
    last_step: int | None
    points: int


def summarise(points: Points) -> Summary | None:
    """None for no points."""
    if not len(points):
        return None
    steps, values = points.steps, points.values
    places = np.flatnonzero(np.isfinite(values))
    finite = values[places]
    low = int(places[finite.argmin()]) if len(places) else None
    high = int(places[finite.argmax()]) if len(places) else None
    return Summary(
        points=len(points),
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        last_value=float(values[-1]),
        min_value=None if low is None else float(values[low]),
        min_step=None if low is None else int(steps[low]),
        max_value=None if high is None else float(values[high]),
        max_step=None if high is None else int(steps[high]),
        nonfinite_points=len(points) - len(places),
    )


def score(objective: Objective, summary: Summary | None) -> Score:
    """NaN and infinity never make an objective; with evaluation "last", a last NaN leaves none."""
    if summary is None:
        return Score(None, None, None, 0)
    if objective.evaluation == "last":
        counts = math.isfinite(summary.last_value)
        value, step = (summary.last_value, summary.last_step) if counts else (None, None)
    elif objective.direction == "minimize":
        value, step = summary.min_value, summary.min_step
    else:
        value, step = summary.max_value, summary.max_step
    return Score(value, step, summary.last_step, summary.points)


def after(objective: Objective, earlier: Score, later: Score) -> Score:
    """The score of a curve that `later` continues: all steps of `later` come after those of `earlier`."""
    points = earlier.points + later.points
    if objective.evaluation == "last" or earlier.objective is None:
        return Score(later.objective, later.best_step, later.last_step, points)
    if later.objective is None or not objective.better(later.objective, earlier.objective):
        return Score(earlier.objective, earlier.best_step, later.last_step, points)
    return Score(later.objective, later.best_step, later.last_step, points)


def bounded(points: Points, max_points: int) -> Points:
    """At most `max_points` of them, drawn the same."""
    return points if len(points) <= max_points else points.at(decimate(points.values, max_points))


Extreme = tuple[float | None, int | None]


def rewritten(current: Summary, before: Points, now: Points) -> Summary | None:
    """The summary after the points of a window of steps changed from `before` to `now` (no step disappears).

    None where only the whole curve can tell: an extreme was overwritten by a worse value.
    """
    old, new = summarise(before), summarise(now)
    if new is None:
        return current
    low = _extreme_after((current.min_value, current.min_step), (new.min_value, new.min_step), before, 1.0)
    high = _extreme_after((current.max_value, current.max_step), (new.max_value, new.max_step), before, -1.0)
    if low is None or high is None:
        return None
    return Summary(
        points=current.points + new.points - (old.points if old else 0),
        first_step=min(current.first_step, new.first_step),
        last_step=max(current.last_step, new.last_step),
        last_value=new.last_value if new.last_step >= current.last_step else current.last_value,
        min_value=low[0],
        min_step=low[1],
        max_value=high[0],
        max_step=high[1],
        nonfinite_points=current.nonfinite_points
        + new.nonfinite_points
        - (old.nonfinite_points if old else 0),
    )


def _extreme_after(current: Extreme, window: Extreme, before: Points, sign: float) -> Extreme | None:
    (value, step), (new_value, new_step) = current, window
    if value is None or step is None:
        return window
    inside = bool(np.isin(step, before.steps))
    if new_value is None or new_step is None:
        return None if inside else current
    if sign * new_value < sign * value or (new_value == value and new_step <= step):
        return window
    return None if inside else current

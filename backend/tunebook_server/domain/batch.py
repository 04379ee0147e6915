"""One report: points of several metrics, checked, sorted and summarised in a few passes over all of them.

Everything is one column over all points or over all series, because a batch may be a thousand series of one
point.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.chunk import STEP, VALUE, Points, Steps, Values
from tunebook_server.domain.curve import Summary
from tunebook_server.domain.errors import Fault, Invalid

MAX_POINTS = 100_000
MAX_SERIES = 1_000
MAX_NAME_CHARACTERS = 200

Series = Mapping[str, tuple[Steps, Values]]


@dataclass(frozen=True, slots=True)
class Batch:
    """`steps`, `values`: all points, series after series, inside a series by step, one value a step.

    The other arrays have one element a series. `min_value` and `max_value` are over finite values, NaN where
    there is none; `min_step` and `max_step` are the earliest steps that reach them.
    """

    names: tuple[str, ...]
    steps: Steps
    values: Values
    points: NDArray[np.int64]
    first_step: Steps
    last_step: Steps
    last_value: Values
    min_value: Values
    min_step: Steps
    max_value: Values
    max_step: Steps
    nonfinite_points: NDArray[np.int64]
    evenly_spaced: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)

    def series(self, place: int) -> Points:
        end = int(self.points[: place + 1].sum())
        start = end - int(self.points[place])
        return Points(self.steps[start:end], self.values[start:end])

    def summary(self, place: int) -> Summary:
        low, high = float(self.min_value[place]), float(self.max_value[place])
        return Summary(
            points=int(self.points[place]),
            first_step=int(self.first_step[place]),
            last_step=int(self.last_step[place]),
            last_value=float(self.last_value[place]),
            min_value=None if math.isnan(low) else low,
            min_step=None if math.isnan(low) else int(self.min_step[place]),
            max_value=None if math.isnan(high) else high,
            max_step=None if math.isnan(high) else int(self.max_step[place]),
            nonfinite_points=int(self.nonfinite_points[place]),
        )


def batch(series: Series) -> Batch:
    """Raises Invalid with every fault: counts, names, lengths, negative steps."""
    faults = _faults(series)
    if faults:
        raise Invalid("the batch cannot be stored", field=faults[0].field, faults=tuple(faults))
    counts = np.array([len(steps) for steps, _ in series.values()])
    owner = np.repeat(np.arange(len(counts)), counts)
    steps = np.concatenate([steps for steps, _ in series.values()]).astype(STEP, copy=False)
    values = np.concatenate([values for _, values in series.values()]).astype(VALUE, copy=False)
    if not ((steps[1:] > steps[:-1]) | (owner[1:] != owner[:-1])).all():
        steps, values, owner = _sorted(steps, values, owner)
        counts = np.bincount(owner)
    return _summarised(tuple(series), steps, values, owner, counts)


def _faults(series: Series) -> list[Fault]:
    if not series:
        return [Fault("series", "no series", "Send at least one metric with one point.")]
    if len(series) > MAX_SERIES:
        return [Fault("series", f"{len(series)} series", f"Send at most {MAX_SERIES} series a batch.")]
    points = sum(len(steps) for steps, _ in series.values())
    if points > MAX_POINTS:
        return [Fault("series", f"{points} points", f"Send at most {MAX_POINTS} points a batch.")]
    return [
        _fault(name, steps, values)
        for name, (steps, values) in series.items()
        if not _is_name(name) or not 0 < len(steps) == len(values) or steps.min() < 0
    ]


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= MAX_NAME_CHARACTERS and name.isprintable()


def _fault(name: str, steps: Steps, values: Values) -> Fault:
    shown = f"series.{name[:60]!a}"
    if not _is_name(name):
        remedy = f"Use 1 to {MAX_NAME_CHARACTERS} printable characters."
        return Fault(shown, f"{name[:60]!a} is no name for a metric", remedy)
    if len(steps) != len(values):
        return Fault(shown, f"{len(steps)} steps, {len(values)} values", "Send one value for every step.")
    if not len(steps):
        return Fault(shown, "no points", "Leave the series out.")
    return Fault(shown, f"step {steps.min()} is negative", "Count steps from 0.")


def _sorted(steps: Steps, values: Values, owner: NDArray[np.intp]) -> tuple[Steps, Values, NDArray[np.intp]]:
    order = np.lexsort((steps, owner))  # stable: equal steps stay in order of writing, the last one wins
    steps, values, owner = steps[order], values[order], owner[order]
    last = np.append((steps[1:] != steps[:-1]) | (owner[1:] != owner[:-1]), True)
    return steps[last], values[last], owner[last]


def _summarised(
    names: tuple[str, ...], steps: Steps, values: Values, owner: NDArray[np.intp], counts: NDArray[np.int64]
) -> Batch:
    starts = np.cumsum(counts) - counts
    ends = starts + counts - 1
    finite = np.isfinite(values)
    low, low_place = _extreme(np.minimum, np.where(finite, values, np.inf), values, starts, counts)
    high, high_place = _extreme(np.maximum, np.where(finite, values, -np.inf), values, starts, counts)
    gaps = np.diff(steps)
    uneven = np.zeros(len(names), dtype=bool)
    uneven[owner[2:][(gaps[1:] != gaps[:-1]) & (owner[2:] == owner[:-2])]] = True
    return Batch(
        names=names,
        steps=steps,
        values=values,
        points=counts,
        first_step=steps[starts],
        last_step=steps[ends],
        last_value=values[ends],
        min_value=low,
        min_step=steps[low_place],
        max_value=high,
        max_step=steps[high_place],
        nonfinite_points=counts - np.add.reduceat(finite, starts, dtype=np.int64),
        evenly_spaced=~uneven,
    )


def _extreme(
    ufunc: np.ufunc, candidates: Values, values: Values, starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[Values, NDArray[np.intp]]:
    """The extreme of every series as first written (of −0.0 and 0.0 the earlier), and its place; NaN where
    none.
    """
    best = ufunc.reduceat(candidates, starts)
    reached = np.flatnonzero(candidates == np.repeat(best, counts))
    place = reached[np.searchsorted(reached, starts)]
    return np.where(np.isfinite(best), values[place], np.nan), place

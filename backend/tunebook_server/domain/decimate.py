"""Fewer points that draw the same line: per bucket the minimum, the maximum and one mark of a gap."""

import numpy as np
from numpy.typing import NDArray

LEAST_POINTS = 8


def decimate(values: NDArray[np.float64], max_points: int) -> NDArray[np.intp]:
    """The places to keep, increasing, at most `max_points` (≥ 8) of them.

    Kept are the first and the last place, the smallest and the largest finite value of every bucket of
    equally many points (so those of the whole), and one non-finite value of every bucket that has any: what a
    plot shows as a gap stays a gap. The bucket scheme is that of min-max aggregation (Jugel et al., "M4",
    VLDB 2014).
    """
    if max_points < LEAST_POINTS:
        raise ValueError(f"max_points is {max_points}, at least {LEAST_POINTS} are needed")
    total = len(values)
    if total <= max_points:
        return np.arange(total)
    inner = values[1:-1]
    finite = np.isfinite(inner)
    gaps = not finite.all()
    buckets = (max_points - 2) // (3 if gaps else 2)
    starts = (np.arange(buckets) * len(inner)) // buckets
    kept = [
        _first_extreme(np.where(finite, inner, np.inf), starts, np.minimum),
        _first_extreme(np.where(finite, inner, -np.inf), starts, np.maximum),
    ]
    if gaps:
        kept.append(_first_true(~finite, starts))
    marked = np.zeros(total, dtype=bool)
    marked[[0, -1]] = True
    for places in kept:
        marked[1 + places] = True
    return np.flatnonzero(marked)


def _first_extreme(
    values: NDArray[np.float64], starts: NDArray[np.intp], extreme: np.ufunc
) -> NDArray[np.intp]:
    lengths = np.diff(starts, append=len(values))
    return _first_true(values == np.repeat(extreme.reduceat(values, starts), lengths), starts)


def _first_true(marks: NDArray[np.bool_], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first marked place of every bucket that has one."""
    places = np.flatnonzero(marks)
    bucket = np.searchsorted(starts, places, side="right")
    first = np.ones(len(places), dtype=bool)
    first[1:] = bucket[1:] != bucket[:-1]
    return places[first]

"""Trials that nothing beats in two metrics at once, and how much of the plane they command."""

import bisect

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def front(first: Array, second: Array) -> NDArray[np.intp]:
    """Places of the points that no other dominates, both to be minimised, by rising `first`. Of equal points
    the first one counts."""
    order = np.lexsort((np.arange(len(first)), second, first))
    lowest = np.minimum.accumulate(second[order])
    found: NDArray[np.intp] = order[np.diff(lowest, prepend=np.inf) < 0]
    return found


def hypervolumes(first: Array, second: Array, reference: tuple[float, float]) -> Array:
    """The area that the points up to each one dominate, up to the reference point: never falling (Zitzler &
    Thiele, "Multiobjective optimization using evolutionary algorithms", 1998)."""
    found, area = np.empty(len(first)), 0.0
    xs: list[float] = []
    ys: list[float] = []
    for place, (x, y) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        if x < reference[0] and y < reference[1]:
            area += _insert(xs, ys, x, y, reference)
        found[place] = area
    return found


def _insert(xs: list[float], ys: list[float], x: float, y: float, reference: tuple[float, float]) -> float:
    """Adds a point to a front, by rising x and falling y; how much area that brings."""
    at = bisect.bisect_left(xs, x)
    above = ys[at - 1] if at else reference[1]
    if above <= y or (at < len(xs) and xs[at] == x and ys[at] <= y):
        return 0.0
    end, gain, left, height = at, 0.0, x, above
    while end < len(xs) and ys[end] >= y:
        gain += (xs[end] - left) * (height - y)
        left, height = xs[end], ys[end]
        end += 1
    right = xs[end] if end < len(xs) else reference[0]
    gain += (right - left) * (height - y)
    xs[at:end], ys[at:end] = [x], [y]
    return gain

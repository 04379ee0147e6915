"""Which of many trials a bounded figure shows."""

import numpy as np
from numpy.typing import NDArray

CELLS = 48  # a side: cells of about 8 pixels in a figure of 400
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # splitmix64


def thin(
    x: NDArray[np.float64], y: NDArray[np.float64], ids: NDArray[np.int64], *, keep: int
) -> NDArray[np.bool_]:
    """A mask of at most `keep` points, thinned by density: sparse cells keep theirs, crowded ones a share.

    Weighted sampling without replacement (Efraimidis and Spirakis 2006), each point by 1/√(points in its
    cell); the random number comes from the id, so that a new point does not reshuffle the others.
    """
    if len(ids) <= keep:
        return np.ones(len(ids), dtype=bool)
    cell = _cells(x) * CELLS + _cells(y)
    crowd = np.bincount(cell, minlength=CELLS * CELLS)[cell]
    order = np.log(_uniform(ids)) * np.sqrt(crowd)
    mask = np.zeros(len(ids), dtype=bool)
    mask[np.argpartition(order, -keep)[-keep:]] = True
    return mask


def some(ids: NDArray[np.int64], *, keep: int) -> NDArray[np.bool_]:
    """A mask of at most `keep` of them, each as likely as another; new ids do not reshuffle the others."""
    mask = np.ones(len(ids), dtype=bool)
    if len(ids) > keep:
        mask[np.argpartition(_uniform(ids), keep)[keep:]] = False
    return mask


def _cells(values: NDArray[np.float64]) -> NDArray[np.int64]:
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(len(values), dtype=np.int64)
    return np.minimum((values - low) / (high - low) * CELLS, CELLS - 1).astype(np.int64)


def _uniform(ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in (0, 1) for every id, by splitmix64."""
    with np.errstate(over="ignore"):
        mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
        mixed ^= mixed >> np.uint64(31)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53

"""Points to weigh against one another: everywhere, and near good ones."""

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.samplers.columns import Columns, Points

MOVED = 0.4
"""Share of dimensions that a neighbour moves in; one at least."""


def everywhere(columns: Columns, chance: np.random.Generator, count: int) -> Points:
    return columns.settle(chance.random((count, len(columns.cells))))


def near(
    columns: Columns,
    chance: np.random.Generator,
    centres: Points,
    count: int,
    *,
    smallest: float,
    largest: float,
) -> Points:
    """`count` neighbours of each centre at normal distances, whose deviations are log-uniform from `smallest`
    to `largest`: shares of the range. What has cells goes at least to the next, what is nominal anywhere."""
    shape = (len(centres) * count, len(columns.cells))
    start = np.repeat(np.clip(centres, 0.0, 1.0), count, axis=0)  # a space may have been narrowed
    start = np.where(np.isnan(start), chance.random(shape), start)
    scales = np.exp(chance.uniform(np.log(smallest), np.log(largest), (shape[0], 1)))
    steps = scales * chance.standard_normal(shape)
    counted = (columns.cells > 0) & ~columns.nominal
    least = 1 / np.maximum(columns.cells, 1)
    steps = np.where(counted, np.sign(steps) * np.maximum(np.abs(steps), least), steps)
    there = _reflected(start + steps)
    there = np.where(columns.nominal, chance.random(shape), there)
    moved = chance.random(shape) < MOVED
    moved[np.arange(shape[0]), chance.integers(shape[1], size=shape[0])] = True
    return columns.settle(np.where(moved, there, start))


def names(points: Points) -> list[bytes]:
    """Equal for points that are the same configuration."""
    rounded = np.round(np.nan_to_num(points, nan=-1.0), 9) + 0.0
    return [row.tobytes() for row in rounded]


def unseen(points: Points, seen: set[bytes]) -> Points:
    """Each once, without those that were seen."""
    fresh: dict[bytes, int] = {}
    for place, name in enumerate(names(points)):
        if name not in seen:
            fresh.setdefault(name, place)
    return points[np.fromiter(fresh.values(), np.intp, len(fresh))]


def _reflected(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Back from the ends of [0, 1]."""
    folded = np.abs(points) % 2.0
    return np.where(folded > 1.0, 2.0 - folded, folded)

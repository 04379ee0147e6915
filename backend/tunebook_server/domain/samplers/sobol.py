"""Scrambled Sobol points (Owen, "Scrambling Sobol' and Niederreiter-Xing points", 1998), by SciPy."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.samplers.endless import Endless
from tunebook_server.domain.samplers.history import History
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

BLOCK = 1024
"""Points made at once: a block is made again for whoever asks for another one in between."""
BITS = 30
POINTS_MOST = 2**BITS


class Sobol(Endless):
    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        points = sobol_points(len(space.dimensions), seed=seed, index=index, count=count)
        return [space.from_unit(point) for point in points.tolist()]


def sobol_points(dimensions: int, *, seed: int, index: int, count: int) -> NDArray[np.float64]:
    """Points index … index + count - 1, shape (count, dimensions), in [0, 1); from 2^30 on it begins
    again."""
    index %= POINTS_MOST
    blocks = range(index // BLOCK, (index + count - 1) // BLOCK + 1) if count else range(0)
    pieces = [_block(dimensions, seed, block * BLOCK % POINTS_MOST) for block in blocks]
    found = np.concatenate(pieces or [np.zeros((0, dimensions))])
    return found[index % BLOCK :][:count]


@lru_cache(maxsize=64)
def _block(dimensions: int, seed: int, first: int) -> NDArray[np.float64]:
    from scipy.stats import qmc

    if not dimensions:
        return np.zeros((BLOCK, 0))
    # Scrambling draws from the given generator alone.
    engine = qmc.Sobol(dimensions, scramble=True, bits=BITS, rng=np.random.default_rng(seed))
    if first:
        engine.fast_forward(first)
    points: NDArray[np.float64] = engine.random(BLOCK)
    return points

"""Independent uniform points, each computed from (seed, index) alone."""

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.samplers.endless import Endless
from tunebook_server.domain.samplers.history import History
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

STREAM = 2
"""Keeps the random numbers of this sampler apart from those of others with the same seed."""


class Random(Endless):
    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        dimensions = len(space.dimensions)
        return [
            space.from_unit(random_point(dimensions, seed=seed, index=place).tolist())
            for place in range(index, index + count)
        ]


def random_point(dimensions: int, *, seed: int, index: int) -> NDArray[np.float64]:
    """Shape (dimensions,), in [0, 1). Philox is a function of a counter: every index begins 2^64 blocks
    after the one before it (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011)."""
    if index < 0:
        raise ValueError(f"index {index} is below 0")
    bits = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(STREAM,)))
    bits.advance(index << 64)
    point: NDArray[np.float64] = np.ldexp(bits.random_raw(dimensions) >> np.uint64(11), -53)
    return point

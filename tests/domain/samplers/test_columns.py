"""Columns settle points as the space itself does, one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.spaces import documents
from tunebook_server.domain.samplers.columns import columns
from tunebook_server.domain.search_space import SearchSpace

FINE = 1e-4
"""Logarithms of a narrow range of large integers are no finer; closer neighbours are mixed up."""


@given(document=documents(), seed=st.integers(0, 1000))
def test_settled_is_what_will_run(document: object, seed: int) -> None:
    space = SearchSpace.parse(document)
    points = np.random.default_rng(seed).random((20, len(space.dimensions)))
    settled = columns(space).settle(points)
    wanted = np.array([space.to_unit(space.from_unit(point)) for point in points])
    np.testing.assert_allclose(settled, wanted, atol=FINE)
    np.testing.assert_allclose(columns(space).settle(settled), settled, atol=FINE)

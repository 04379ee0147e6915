"""What a model sees of losses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.samplers.losses import SOFT_FROM, standardised


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60))
def test_any_finite_losses_keep_their_order(losses: list[float]) -> None:
    found = standardised(np.array(losses, np.float64))
    assert np.isfinite(found).all()
    assert (np.diff(found[np.argsort(losses, kind="stable")]) >= 0).all()
    if found.any():
        assert abs(found.mean()) < 1e-9
        assert abs(found.std() - 1) < 1e-9


@pytest.mark.parametrize("bad", [1e3, 1e6, 1e14, 1e20, 1e308])
@pytest.mark.parametrize("count", [1, 5])
def test_what_exploded_does_not_flatten_the_others(bad: float, count: int) -> None:
    usual = np.random.default_rng(0).random(30)
    alone, beside = standardised(usual), standardised(np.append(usual, [bad] * count))
    rest = beside[:30]
    assert np.corrcoef(alone, rest)[0, 1] > 0.99
    assert rest.std() > 0.5
    assert beside.max() - np.median(rest) < (SOFT_FROM + 1) / 0.5


def test_where_the_better_half_is_equal_the_worse_one_gives_the_scale() -> None:
    found = standardised(np.array([0.0] * 10 + [1.0, 2.0, 3.0, 1e30]))
    assert len(set(found[10:].tolist())) == 4
    assert not standardised(np.full(9, 0.3)).any()

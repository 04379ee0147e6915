import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tunebook_server.domain.decimate import decimate

values = st.one_of(st.floats(), st.integers(-3, 3).map(float), st.just(math.nan))
lines = st.lists(values, max_size=300).map(lambda line: np.array(line, dtype=np.float64))
budgets = st.integers(8, 64)


@given(lines, budgets)
def test_a_bounded_part_of_the_line_with_its_ends(line: NDArray[np.float64], max_points: int) -> None:
    kept = decimate(line, max_points)
    assert len(kept) <= max_points
    assert (np.diff(kept) > 0).all()
    if len(line) <= max_points:
        assert kept.tolist() == list(range(len(line)))
    else:
        assert kept[0] == 0
        assert kept[-1] == len(line) - 1
        assert len(kept) >= 2


@given(lines, budgets)
def test_the_extremes_stay_at_the_first_place_that_reaches_them(
    line: NDArray[np.float64], max_points: int
) -> None:
    finite = np.isfinite(line)
    if not finite.any():
        return
    kept = set(decimate(line, max_points).tolist())
    assert int(np.flatnonzero(line == line[finite].min())[0]) in kept
    assert int(np.flatnonzero(line == line[finite].max())[0]) in kept


@given(lines, budgets)
def test_a_gap_stays_a_gap(line: NDArray[np.float64], max_points: int) -> None:
    """Where a stretch as long as two buckets holds no number, something that is no number is kept."""
    kept = decimate(line, max_points)
    bucket = math.ceil(len(line) / ((max_points - 2) // 3))
    holes = np.flatnonzero(~np.isfinite(line))
    for start in range(max(len(line) - 2 * bucket, 0)):
        stretch = np.arange(start, start + 2 * bucket)
        if np.isin(stretch, holes).all():
            assert np.isin(stretch, kept[~np.isfinite(line[kept])]).any()


@given(st.integers(17, 2_000), st.data())
def test_a_single_gap_is_kept(length: int, data: st.DataObject) -> None:
    line = np.sin(np.arange(length))
    gap = data.draw(st.integers(0, length - 1))
    line[gap] = math.nan
    assert gap in decimate(line, 16)


def test_too_few_points_draw_nothing() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        decimate(np.zeros(10), 7)

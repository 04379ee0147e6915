import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.batch import Batch, batch
from tunebook_server.domain.curve import Summary, summarise
from tunebook_server.domain.errors import Invalid

Written = Mapping[str, list[tuple[int, float]]]
values = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324]))
series = st.dictionaries(
    st.text("abc/", min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 20), values), min_size=1, max_size=12),
    min_size=1,
    max_size=8,
)


def made(written: Written) -> Batch:
    return batch(
        {
            name: (
                np.array([step for step, _ in points], dtype=np.int64),
                np.array([value for _, value in points]),
            )
            for name, points in written.items()
        }
    )


@given(series)
def test_each_series_is_sorted_with_its_last_value_a_step(written: Written) -> None:
    content = made(written)
    assert content.names == tuple(written)
    assert len(content) == len(written)
    for place, points in enumerate(written.values()):
        expected = dict(sorted(dict(points).items()))
        found = content.series(place)
        assert found.steps.tolist() == list(expected)
        assert found.values.tobytes() == np.array(list(expected.values())).tobytes()
        gaps = np.diff(found.steps)
        assert content.evenly_spaced[place] == (len(set(gaps.tolist())) <= 1)


@given(series)
def test_summaries_over_all_series_at_once_equal_those_one_by_one(written: Written) -> None:
    content = made(written)
    for place in range(len(content)):
        alone = summarise(content.series(place))
        assert alone is not None
        assert repr(content.summary(place)) == repr(alone)


def test_an_extreme_is_the_first_that_reaches_it() -> None:
    content = made({"loss": [(0, 2.0), (1, 0.0), (2, -0.0), (3, 2.0), (4, 1.0)]})
    assert content.summary(0) == Summary(5, 0, 4, 1.0, 0.0, 1, 2.0, 0, 0)


def test_without_a_finite_value_there_is_no_extreme() -> None:
    summary = made({"loss": [(0, math.nan), (1, math.inf)]}).summary(0)
    assert (summary.min_value, summary.min_step, summary.max_value, summary.max_step) == (None,) * 4
    assert summary.nonfinite_points == 2


def test_every_fault_is_named() -> None:
    with pytest.raises(Invalid) as refused:
        batch({"a\tb": (np.array([1]), np.array([1.0])), "short": (np.array([1, 2]), np.array([1.0]))})
    assert [fault.problem for fault in refused.value.faults] == [
        "'a\\tb' is no name for a metric",
        "2 steps, 1 values",
    ]
    assert all(fault.remedy for fault in refused.value.faults)


def test_thousands_of_points_are_many_and_not_too_many() -> None:
    half = np.arange(50_000), np.zeros(50_000)
    assert len(batch({"a": half, "b": half}).steps) == 100_000
    with pytest.raises(Invalid, match="batch") as refused:
        batch({"a": half, "b": half, "c": (np.array([0]), np.array([0.0]))})
    assert refused.value.faults[0].problem == "100001 points"

"""Halton points: replay, agreement with SciPy, stratification, discrepancy, cost."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.stats import qmc

from tunebook_server.domain.samplers import halton
from tunebook_server.domain.samplers.halton import (
    INDEX_LIMIT,
    Halton,
    halton_points,
    plain_digits,
    primes,
    radical_inverses,
    scrambled_digits,
)
from tunebook_server.domain.samplers.random import random_point
from tunebook_server.domain.search_space import Boolean, Categorical, Integer, SearchSpace

Points = NDArray[np.float64]


def test_the_first_primes_are_the_bases() -> None:
    assert primes(10) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    assert primes(200)[-1] == 1223
    assert primes(0) == []


@pytest.mark.parametrize(("dimensions", "index"), [(1, 10**6), (7, 0), (7, 10**5), (200, 1), (200, 4095)])
def test_without_scrambling_it_is_the_sequence_that_scipy_makes(dimensions: int, index: int) -> None:
    engine = qmc.Halton(dimensions, scramble=False)
    engine.fast_forward(index)
    expected = engine.random(300)
    ours = radical_inverses(plain_digits(dimensions), index=index, count=300)
    assert np.abs(ours - expected).max() < 1e-13


def slow_point(seed: int, dimensions: int, index: int) -> list[float]:
    """The definition, digit by digit in whole numbers, all leading zeros of the table's places permuted."""
    tables = scrambled_digits(dimensions, seed)
    point = []
    for dimension, base in enumerate(primes(dimensions)):
        places = int((tables.powers[dimension] < INDEX_LIMIT).sum())
        numerator, rest = 0, index
        for place in range(places):
            rest, digit = divmod(rest, base)
            permuted = tables.permutations[tables.starts[dimension, place] + digit]
            numerator = numerator * base + int(permuted)
        point.append((numerator / base**places + float(tables.shift[dimension])) % 1.0)
    return point


@given(st.integers(0, 2**63 - 1), st.sampled_from([1, 5, 40]), st.integers(0, 2**52))
def test_any_index_follows_the_definition_leading_zeros_included(
    seed: int, dimensions: int, index: int
) -> None:
    fast = halton_points(dimensions, seed=seed, index=index, count=1)[0]
    assert fast == pytest.approx(slow_point(seed, dimensions, index), abs=1e-15)
    assert ((fast >= 0) & (fast < 1)).all()


def test_permutations_are_permutations_and_some_move_zero() -> None:
    tables = scrambled_digits(30, 7)
    first_images = []
    for dimension, base in enumerate(primes(30)):
        for place in range(int((tables.powers[dimension] < INDEX_LIMIT).sum())):
            start = tables.starts[dimension, place]
            digits = tables.permutations[start : start + base]
            assert sorted(digits.tolist()) == list(range(base))
            first_images.append(digits[0])
    assert np.count_nonzero(first_images) > len(first_images) / 2


def test_six_months_later_the_points_are_the_same() -> None:
    """Recorded once. Another NumPy must give them again, or running studies change under their trials."""
    recorded = {
        (0, 0): [0.7976009108084781, 0.6645801909218818, 0.5865217550274303],
        (0, 1_000_000): [0.7907373167533023, 0.024254485277542592, 0.5864941070274303],
        (2**63 - 1, 17): [0.10708966059355651, 0.4988816379616252, 0.4223376042603104],
    }
    for (seed, index), expected in recorded.items():
        assert halton_points(3, seed=seed, index=index, count=1)[0].tolist() == expected


@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 10**7),
    st.lists(st.integers(0, 40), max_size=6),
    st.integers(1, 12),
)
def test_order_and_chunking_change_nothing(seed: int, index: int, chunks: list[int], dimensions: int) -> None:
    count = sum(chunks)
    whole = halton_points(dimensions, seed=seed, index=index, count=count)
    starts = [index + sum(chunks[:number]) for number in range(len(chunks))]
    pieces = [
        (start, halton_points(dimensions, seed=seed, index=start, count=chunk))
        for start, chunk in reversed(list(zip(starts, chunks, strict=True)))
    ]
    for start, piece in pieces:
        assert np.array_equal(piece, whole[start - index : start - index + len(piece)])


def test_a_request_beyond_one_block_is_the_same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = halton_points(5, seed=3, index=100, count=1000)
    monkeypatch.setattr(halton, "BLOCK_DIGITS", 100)
    assert np.array_equal(halton_points(5, seed=3, index=100, count=1000), whole)


def test_a_dimension_does_not_depend_on_those_after_it() -> None:
    few = halton_points(4, seed=5, index=10, count=20)
    many = halton_points(9, seed=5, index=10, count=20)
    assert np.array_equal(few, many[:, :4])


@pytest.mark.parametrize("seed", [0, 1, 99])
def test_scrambling_keeps_the_stratification_of_scipy(seed: int) -> None:
    """Of base^k points in a row every interval [j, j + 1) / base^k has exactly one."""
    ours = radical_inverses(scrambled_digits(6, seed), index=1234, count=5000)
    scipy_engine = qmc.Halton(6, rng=seed)
    scipy_engine.fast_forward(1234)
    for points in (ours, scipy_engine.random(5000)):
        for column, base in enumerate(primes(6)):
            for cells in (base, base**2, base**3):
                for start in range(0, 5000 - cells, cells):
                    window = np.floor(points[start : start + cells, column] * cells)
                    assert len(np.unique(window)) == cells


@pytest.mark.parametrize("seed", [0, 1, 99])
def test_the_shift_keeps_it_for_whole_blocks(seed: int) -> None:
    points = halton_points(6, seed=seed, index=0, count=5000)
    for column, base in enumerate(primes(6)):
        for cells in (base, base**2, base**3):
            for start in range(0, 5000 - cells, cells):
                window = np.floor(points[start : start + cells, column] * cells)
                assert len(np.unique(window)) == cells


def random_points(dimensions: int, seed: int, count: int) -> Points:
    return np.array([random_point(dimensions, seed=seed, index=index) for index in range(count)])


@pytest.mark.parametrize(
    ("dimensions", "count", "share"), [(2, 64, 0.5), (2, 512, 0.3), (5, 256, 0.6), (10, 512, 0.8)]
)
def test_centered_discrepancy_beats_random_on_the_median_of_seeds(
    dimensions: int, count: int, share: float
) -> None:
    def median(make: Callable[[int], Points]) -> float:
        return float(np.median([np.sqrt(qmc.discrepancy(make(seed), method="CD")) for seed in range(15)]))

    ours = median(lambda seed: halton_points(dimensions, seed=seed, index=0, count=count))
    chance = median(lambda seed: random_points(dimensions, seed, count))
    assert ours < share * chance


def star_discrepancy(values: Points) -> float:
    """In one dimension, exactly (Niederreiter, "Random Number Generation and Quasi-Monte Carlo Methods",
    theorem 2.6)."""
    ordered = np.sort(values)
    count = len(values)
    return float(1 / (2 * count) + np.abs(ordered - (2 * np.arange(1, count + 1) - 1) / (2 * count)).max())


def star_bound(base: int, count: int) -> float:
    """[0, x) is at most base - 1 elementary intervals of each length base^-k, each off by at most one point,
    and a rest of less than one point; a shifted interval is the difference of two such."""
    levels = int(np.ceil(np.log(count) / np.log(base)))
    return 2 * ((base - 1) * levels + 1) / count


def test_one_dimensional_star_discrepancy_stays_under_its_bound_where_random_breaks_it() -> None:
    count = 4096
    for seed in range(10):
        points = halton_points(4, seed=seed, index=777, count=count)
        for column, base in enumerate(primes(4)):
            assert star_discrepancy(points[:, column]) <= star_bound(base, count)
    broken = [
        star_discrepancy(random_points(1, seed, count)[:, 0]) > star_bound(2, count) for seed in range(10)
    ]
    assert sum(broken) > 5


def test_every_projection_on_one_axis_is_uniform_up_to_200_dimensions() -> None:
    points = halton_points(200, seed=4, index=0, count=4096)
    distances = [stats.kstest(column, "uniform").statistic for column in points.T]
    assert max(distances) < 0.02


def test_over_seeds_a_single_point_is_uniform() -> None:
    points = np.array([halton_points(5, seed=seed, index=0, count=1)[0] for seed in range(400)])
    for column in points.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    correlations = np.corrcoef(points.T) - np.eye(5)
    assert np.abs(correlations).max() < 0.2


def test_no_point_comes_twice() -> None:
    points = halton_points(1, seed=8, index=0, count=200_000)
    assert len(np.unique(points)) == len(points)


def steps_of(work: Callable[[], object]) -> int:
    """Bytecode instructions that the module runs: a count, not a time."""
    steps = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != halton.__file__:
            return None
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


def test_asking_costs_the_same_at_any_index() -> None:
    halton_points(10, seed=0, index=0, count=1)
    costs = {
        index: steps_of(lambda index=index: halton_points(10, seed=0, index=index, count=1))  # type: ignore[misc]
        for index in (0, 1, 1000, 10**6, 10**12)
    }
    assert costs[0] > 50
    assert len(set(costs.values())) == 1
    more = steps_of(lambda: halton_points(10, seed=0, index=10**6, count=1000))
    assert more == costs[0]


def test_the_digits_looked_at_grow_with_the_length_of_the_index_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    exact = halton._exact_inverses

    def counted(digits: halton.Digits, indices: NDArray[np.int64], places: int) -> NDArray[np.uint64]:
        seen.append(len(indices) * places * len(digits.bases))
        return exact(digits, indices, places)

    monkeypatch.setattr(halton, "_exact_inverses", counted)
    for index in (0, 10**6, 2**52):
        halton_points(10, seed=0, index=index, count=1)
    assert seen == [10 * 1, 10 * 20, 10 * 53]


def test_values_of_finite_hyperparameters_come_evenly() -> None:
    space = SearchSpace(
        (
            Categorical("optimizer", ("sgd", "adam"), role="scientific"),
            Categorical("activation", ("relu", "gelu", "tanh"), role="scientific"),
            Integer("layers", 1, 5),
            Boolean("bias"),
        )
    )
    configurations = Halton().suggest(space, seed=1, index=0, count=240)
    for name, shares in (("optimizer", 2), ("activation", 3), ("layers", 5), ("bias", 2)):
        _, counts = np.unique([str(each[name]) for each in configurations], return_counts=True)
        assert len(counts) == shares
        assert np.abs(counts - 240 / shares).max() <= 4


def test_points_outside_the_sequence_are_refused() -> None:
    for index, count in ((-1, 1), (0, -1), (INDEX_LIMIT, 1)):
        with pytest.raises(ValueError, match="points"):
            halton_points(2, seed=0, index=index, count=count)


def test_no_dimensions_and_no_points_are_empty() -> None:
    assert halton_points(0, seed=0, index=5, count=3).shape == (3, 0)
    assert halton_points(3, seed=0, index=5, count=0).shape == (0, 3)

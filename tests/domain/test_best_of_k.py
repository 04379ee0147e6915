"""Exact distributions against enumeration, against plain resampling, and against each other."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.best_of_k import campaigns, doubling, means, quantiles, sizes

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
LOSSES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=7)


def every_best(losses: list[float], k: int, *, replacement: bool) -> np.ndarray:
    """The best of every sample of k, all equally likely."""
    drawn = product(losses, repeat=k) if replacement else combinations(losses, k)
    return np.array([min(sample) for sample in drawn])


@given(LOSSES, st.integers(1, 4), st.booleans())
def test_it_is_the_distribution_over_every_sample(losses: list[float], k: int, replacement: bool) -> None:
    k = min(k, len(losses))
    every = every_best(losses, k, replacement=replacement)
    expected = np.quantile(every, LEVELS, method="inverted_cdf")
    assert quantiles(losses, [k], LEVELS, replacement=replacement)[:, 0] == pytest.approx(expected, rel=1e-12)
    assert means(losses, [k], replacement=replacement)[0] == pytest.approx(every.mean(), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("n", [12, 100, 2_000])
def test_resampled_studies_agree_with_the_exact_form(noise: float, n: int) -> None:
    random = np.random.default_rng(n)
    losses = random.random(n) ** 2 + noise * random.standard_normal(n)
    chosen = sizes(1, n, most=12)
    drawn = campaigns(losses, chosen, resamples=20_000, seed=1)
    assert drawn.mean(axis=0) == pytest.approx(means(losses, chosen), abs=5 * drawn.std() / 20_000**0.5)
    for level, row in zip(LEVELS, quantiles(losses, chosen, LEVELS), strict=True):
        below = (drawn <= row).mean(axis=0)
        assert (below >= level - 0.015).all()
        assert ((drawn < row).mean(axis=0) <= level + 0.015).all()


def test_resampled_studies_agree_with_drawing_every_trial() -> None:
    losses = np.random.default_rng(3).random(40)
    drawn = losses[np.random.default_rng(4).integers(0, 40, (20_000, 20))]
    plain = drawn[:, :10].min(axis=1) - drawn.min(axis=1)
    short, full = campaigns(losses, [10, 20], resamples=20_000, seed=5).T
    assert (short - full).mean() == pytest.approx(plain.mean(), rel=0.05)
    assert (short > full).mean() == pytest.approx((plain > 0).mean(), abs=0.02)


def test_each_stratum_keeps_its_share() -> None:
    """One trial of a good value and 99 of a bad one: with strata every whole resample holds the good one."""
    losses = np.array([0.0] + [1.0] * 99)
    strata = np.array([0] + [1] * 99)
    assert (campaigns(losses, [100], resamples=500, seed=0, strata=strata) == 0).all()
    assert campaigns(losses, [100], resamples=500, seed=0).mean() == pytest.approx(0.366, abs=0.1)


def test_one_path_never_gets_worse_and_is_the_same_for_the_same_seed() -> None:
    losses = np.random.default_rng(0).standard_normal(50)
    drawn = campaigns(losses, sizes(1, 50), resamples=200, seed=7)
    assert (np.diff(drawn, axis=1) <= 0).all()
    assert (drawn == campaigns(losses[::-1], sizes(1, 50), resamples=200, seed=7)).all()


@pytest.mark.parametrize("dimensions", [1, 2, 4, 6])
@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_the_next_doubling_is_foreseen_on_average(dimensions: int, noise: float) -> None:
    random = np.random.default_rng(dimensions)

    def found(trials: int) -> np.ndarray:
        clean = ((2 * random.random((trials, dimensions)) - 1) ** 2).mean(axis=1)
        return np.asarray(clean + noise * random.standard_normal(trials))

    true = np.mean([found(60).min() - found(120).min() for _ in range(1_500)])
    foreseen = np.mean([doubling(found(60)).next for _ in range(300)])
    assert foreseen == pytest.approx(true, rel=0.5, abs=0.001)


def test_sizes_rise_from_first_to_last_and_are_bounded() -> None:
    assert sizes(1, 5).tolist() == [1, 2, 3, 4, 5]
    many = sizes(6, 10_000)
    assert (many[0], many[-1]) == (6, 10_000)
    assert (np.diff(many) > 0).all()
    assert len(many) <= 40


def test_a_part_that_is_the_whole_has_no_spread() -> None:
    losses = np.random.default_rng(0).random(10_000)
    assert (quantiles(losses, [10_000], LEVELS, replacement=False) == losses.min()).all()
    assert means(losses, [10_000], replacement=False)[0] == losses.min()

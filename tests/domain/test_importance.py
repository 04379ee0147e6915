"""Importance against studies whose answer is known, over levels of noise and seeds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tunebook_server.domain.importance import NEEDED_TRIALS, Importances, measure

SEEDS = range(20)
Units = dict[str, NDArray[np.float64]]


def generated(trials: int, seed: int, noise: float) -> tuple[Units, NDArray[np.float64]]:
    """`strong` decides most, `weak` some, a choice and two others nothing; losses span about 1.5."""
    random = np.random.default_rng(seed)
    units = {key: random.random(trials) for key in ("none", "strong", "other", "weak")}
    units["choice"] = (random.integers(0, 3, trials) + 0.5) / 3
    losses = 4 * (units["strong"] - 0.6) ** 2 + 0.8 * (units["weak"] - 0.3) ** 2
    return units, losses + noise * random.standard_normal(trials)


def ranked(trials: int, seed: int, noise: float) -> Importances:
    return measure(*_with_choice(generated(trials, seed, noise)))


def _with_choice(
    made: tuple[Units, NDArray[np.float64]],
) -> tuple[Units, dict[str, int], NDArray[np.float64]]:
    return made[0], {"choice": 3}, made[1]


@pytest.mark.parametrize(
    ("trials", "noise", "first", "both"),
    [(48, 0.0, 0.9, 0.6), (48, 0.05, 0.8, 0.5), (200, 0.0, 1.0, 0.9), (200, 0.1, 0.95, 0.75)],
)
def test_the_known_order_is_recovered(trials: int, noise: float, first: float, both: float) -> None:
    orders = [[each.key for each in ranked(trials, seed, noise).ranked] for seed in SEEDS]
    assert np.mean([order[0] == "strong" for order in orders]) >= first
    assert np.mean([order[:2] == ["strong", "weak"] for order in orders]) >= both


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_what_has_no_effect_is_not_told_from_nothing(noise: float) -> None:
    for seed in SEEDS:
        inert = [e for e in ranked(200, seed, noise).ranked if e.key in ("none", "other", "choice")]
        assert len(inert) == 3
        assert all(each.low < 0.02 and each.share < 0.3 for each in inert)


def test_the_numbers_do_not_depend_on_the_order_of_the_trials() -> None:
    units, losses = generated(80, 0, 0.05)
    losses = np.where(losses > 1.0, np.inf, np.round(losses, 1))  # ties, and infeasible trials
    losses[::9] = np.nan
    order = np.random.default_rng(1).permutation(80)
    shuffled = {key: column[order] for key, column in units.items()}
    assert measure(units, {"choice": 3}, losses) == measure(shuffled, {"choice": 3}, losses[order])


def test_a_choice_that_decides_is_found() -> None:
    units, losses = generated(100, 3, 0.05)
    losses = losses + 5.0 * (units["choice"] > 0.4)
    assert measure(units, {"choice": 3}, losses).ranked[0].key == "choice"


def test_what_makes_trials_infeasible_is_important() -> None:
    """The finished trials alone would show no effect at all."""
    random = np.random.default_rng(0)
    units = {"safe": random.random(200), "wild": random.random(200)}
    losses = np.where(units["wild"] > 0.4, np.inf, random.random(200))
    assert measure(units, {}, losses).ranked[0].key == "wild"


def test_a_conditional_hyperparameter_counts_over_its_own_trials() -> None:
    units, losses = generated(200, 0, 0.0)
    units["strong"] = np.where(np.arange(200) % 2, units["strong"], np.nan)
    units["rare"] = np.where(np.arange(200) < NEEDED_TRIALS - 1, units["none"], np.nan)
    found = measure(units, {"choice": 3}, losses)
    strong = next(each for each in found.ranked if each.key == "strong")
    assert strong.trials == 100
    assert strong.share > 0.4
    assert found.wanting == {"rare": NEEDED_TRIALS - 1}


@pytest.mark.parametrize("losses", [np.full(60, np.inf), np.full(60, np.nan), np.empty(0)])
def test_without_feasible_trials_every_key_wants_some(losses: NDArray[np.float64]) -> None:
    units = {"a": np.linspace(0, 1, len(losses))}
    found = measure(units, {}, losses)
    assert (found.ranked, found.wanting, found.trials) == ((), {"a": 0}, 0)


def test_equal_values_and_equal_losses_give_finite_numbers() -> None:
    units = {"same": np.full(40, 0.5), "edge": np.repeat([0.0, 1.0], 20)}
    for losses in (np.zeros(40), np.r_[np.zeros(20), np.full(20, np.inf)]):
        found = measure(units, {}, losses)
        assert all(np.isfinite([e.share, e.low, e.high, e.divergence]).all() for e in found.ranked)
        assert all(0 <= e.low <= e.share <= e.high <= 1 for e in found.ranked)

"""The interaction of nuisance with scientific hyperparameters: rates on studies with a known answer."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from tunebook_server.domain.interaction import (
    NEEDED_TRIALS,
    Conclusion,
    Interaction,
    measure_interaction,
    values_of_numbers,
)

SEEDS = range(20)


def study(
    trials: int, seed: int, noise: float = 0.05
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """`moves` is best at 0.25 or 0.75, `stays` at 0.5 under both, `flat` has no effect."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 2, trials)
    units = {key: random.random(trials) for key in ("moves", "stays", "flat")}
    best = np.where(values == 0, 0.25, 0.75)
    losses = 3 * (units["moves"] - best) ** 2 + (units["stays"] - 0.5) ** 2 + 0.5 * values
    return values, units, losses + noise * random.standard_normal(trials)


def conclusions(found: Interaction) -> dict[str, Conclusion]:
    return {row.key: row.conclusion for row in found.rows}


@pytest.mark.parametrize(("trials", "flat"), [(60, 0), (400, 14)])
def test_a_moving_and_a_flat_hyperparameter_are_found(trials: int, flat: int) -> None:
    """`flat`: of 20 studies; few trials cannot show that nothing is there."""
    counts: Counter[tuple[str, Conclusion]] = Counter()
    for seed in SEEDS:
        values, units, losses = study(trials, seed)
        counts.update(conclusions(measure_interaction(values, 2, units, {}, losses)).items())
    assert counts["moves", Conclusion.MOVES] >= 19
    assert counts["stays", Conclusion.MOVES] + counts["flat", Conclusion.MOVES] <= 1
    assert counts["moves", Conclusion.FLAT] == 0
    assert counts["stays", Conclusion.FLAT] <= 1
    assert counts["flat", Conclusion.FLAT] >= flat


def test_a_choice_that_moves_is_found() -> None:
    random = np.random.default_rng(0)
    values, choice = random.integers(0, 2, 120), random.integers(0, 3, 120)
    losses = np.where(choice == 2 * values, 0.0, 1.0) + 0.1 * random.random(120)
    units = {"choice": (choice + 0.5) / 3}
    (row,) = measure_interaction(values, 2, units, {"choice": 3}, losses).rows
    assert row.conclusion is Conclusion.MOVES
    assert [region.centre for region in row.regions] == pytest.approx([1 / 6, 5 / 6])


def test_the_order_of_the_trials_changes_nothing() -> None:
    values, units, losses = study(90, 0)
    losses = np.where(losses > 1.2, np.inf, np.round(losses, 1))
    losses[::11] = np.nan
    order = np.random.default_rng(1).permutation(90)
    shuffled = {key: column[order] for key, column in units.items()}
    assert measure_interaction(values, 2, units, {}, losses) == measure_interaction(
        values[order], 2, shuffled, {}, losses[order]
    )


def test_the_scientific_effect_itself_moves_nothing() -> None:
    values, units, losses = study(100, 0)
    assert measure_interaction(values, 2, units, {}, losses + 50.0 * values).rows == (
        measure_interaction(values, 2, units, {}, losses).rows
    )


def test_a_hyperparameter_of_one_value_stands_alone() -> None:
    values, units, losses = study(100, 0)
    units["moves"] = np.where(values == 1, units["moves"], np.nan)
    row = measure_interaction(values, 2, units, {}, losses).rows[0]
    assert (row.conclusion, row.p, [each.value for each in row.regions]) == (Conclusion.ALONE, None, [1])


def test_too_few_trials_of_every_value_say_so() -> None:
    values, units, losses = study(2 * NEEDED_TRIALS - 4, 0)
    values = np.arange(len(values)) % 2
    found = measure_interaction(values, 2, units, {}, losses)
    assert (found.counts, found.rows) == ((13, 13), ())
    assert measure_interaction(values, 2, units, {}, np.full(26, np.inf)).counts == (0, 0)


def test_numbers_keep_their_few_values_or_are_cut_in_thirds() -> None:
    few, members = values_of_numbers(np.array([0.0, 0.5, np.nan, 1.0, 0.5]))
    assert few.tolist() == [0, 1, -1, 2, 1]
    assert [int(member.sum()) for member in members] == [1, 2, 1]
    many, members = values_of_numbers(np.linspace(0, 1, 90))
    assert [int(member.sum()) for member in members] == [30, 30, 30]
    assert (np.diff(many) >= 0).all()
    none, members = values_of_numbers(np.full(3, np.nan))
    assert none.tolist() == [-1, -1, -1]

"""The interval of the best of a group, and which value may be said to win."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.findings.studies import study
from tunebook_server.domain.isolation import best_interval, bootstrap_rank, isolate
from tunebook_server.domain.objective import Objective

SPACE: list[dict[str, object]] = [
    {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"], "role": "scientific"},
    {"name": "rate", "type": "float", "low": 0.0, "high": 1.0},
]
SHAPES = {
    "flat": lambda random, size: random.random(size),
    "rising": lambda random, size: np.sqrt(random.random(size)),
    "bowl in two dimensions": lambda random, size: (random.random((size, 2)) ** 2).sum(axis=1),
}


@pytest.mark.parametrize("count", [5, 12, 40])
def test_the_rank_is_that_of_resamples(count: int) -> None:
    random = np.random.default_rng(count)
    least = random.integers(0, count, (40_000, count)).min(axis=1) + 1
    rank = bootstrap_rank(count, draws=count)
    assert (least <= rank).mean() >= 0.95 - 0.01
    assert rank == 1 or (least <= rank - 1).mean() < 0.95 + 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_groups_rarely_come_apart(shape: str) -> None:
    random = np.random.default_rng(1)

    def interval(losses: NDArray[np.float64]) -> tuple[float, float]:
        return best_interval(np.sort(losses), draws=len(losses))

    apart = 0
    for _ in range(600):
        (low, high), (other_low, other_high) = (interval(SHAPES[shape](random, 24)) for _ in range(2))
        apart += high < other_low or other_high < low
    assert apart / 600 < 0.12


def test_a_clear_winner_is_found_in_either_direction() -> None:
    def loss(configuration: object, random: np.random.Generator) -> float:
        better = configuration["optimizer"] == "adam"  # type: ignore[index]
        return float(random.random() + (0.0 if better else 2.0))

    results = study(SPACE, loss, trials=40)
    parameter = results.space.parameter("optimizer")
    for objective, columns in (
        (results.objective, results.columns),
        (Objective("m", "maximize"), replace(results.columns, objective=-results.columns.objective)),
    ):
        found = isolate(columns, parameter, "optimizer", objective)
        assert found.winner == 1
        assert [value.trials for value in found.values] == [20, 20]


def test_nobody_wins_with_too_few_trials_or_without_a_feasible_one() -> None:
    for rule in (lambda *_: None, lambda configuration, _: float(configuration["rate"])):
        results = study(SPACE, rule, trials=6)
        found = isolate(results.columns, results.space.parameter("optimizer"), "optimizer", results.objective)
        assert found.winner is None


def test_a_value_is_not_called_better_for_having_had_more_trials() -> None:
    """Of one distribution, 200 trials against 10: the bests differ, the verdict must not."""
    random, wins = np.random.default_rng(2), 0
    for _ in range(300):
        many, few = np.sort(random.random(200)), np.sort(random.random(10))
        _, high = best_interval(many, draws=10)
        low, _ = best_interval(few, draws=10)
        wins += high < low
    assert wins / 300 < 0.12

"""The interval of the best of a group, and which value may be said to win."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.findings.studies import study
from tunebook_server.domain.isolation import best_interval, bootstrap_rank, isolate, isolate_groups
from tunebook_server.domain.joined import joined
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns

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


@given(st.permutations(range(4)), st.integers(0, 5))
def test_the_order_of_studies_changes_no_verdict(order: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)

    def loss(configuration: Mapping[str, object], random: np.random.Generator) -> float | None:
        drawn = float(random.random())
        return None if drawn > 0.9 else drawn

    studies = [study(SPACE[1:], loss, trials=8 * (place + 1), seed=place).columns for place in range(4)]
    better = replace(studies[3], objective=studies[3].objective - 3 * (seed % 2), ids=studies[3].ids + 10_000)
    studies[3] = better
    shuffled = [_shuffled(studies[place], random) for place in order]
    (columns, groups), (turned, turned_groups) = joined(studies), joined(shuffled)
    before = isolate_groups(columns, groups, Objective("m"))
    after = isolate_groups(turned, turned_groups, Objective("m"))
    assert before.matched == after.matched
    assert (before.winner == 3) is bool(seed % 2)
    assert before.winner == (None if after.winner is None else order[after.winner])
    for place, found in enumerate(after.values):
        asked = before.values[order[place]]
        assert (found.trials, found.infeasible, found.low, found.high) == (
            *(asked.trials, asked.infeasible, asked.low, asked.high),
        )


def test_studies_and_the_values_of_one_study_are_compared_by_the_same_numbers() -> None:
    """A study of both optimizers, and two studies that have its trials of one optimizer each."""
    whole = study(SPACE, lambda configuration, random: float(random.random()), trials=40)
    by_value = isolate(whole.columns, whole.space.parameter("optimizer"), "optimizer", whole.objective)
    places = whole.columns.values["optimizer"]
    parts = [_some(whole.columns, np.flatnonzero(places == place)) for place in range(2)]
    by_study = isolate_groups(*joined(parts), whole.objective)
    assert (by_study.matched, by_study.winner) == (by_value.matched, by_value.winner)
    for one, other in zip(by_study.values, by_value.values, strict=True):
        assert (one.trials, one.infeasible, one.low, one.high) == (
            *(other.trials, other.infeasible, other.low, other.high),
        )


def _shuffled(columns: TrialColumns, random: np.random.Generator) -> TrialColumns:
    return _some(columns, random.permutation(len(columns)))


def _some(columns: TrialColumns, places: NDArray[np.int64]) -> TrialColumns:
    return TrialColumns(
        ids=columns.ids[places],
        numbers=columns.numbers[places],
        states=columns.states[places],
        objective=columns.objective[places],
        best_step=columns.best_step[places],
        last_step=columns.last_step[places],
        values={key: column[places] for key, column in columns.values.items()},
        finished_at=columns.finished_at[places],
    )

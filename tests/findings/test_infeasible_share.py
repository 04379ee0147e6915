"""Labelled studies whose infeasible trials lie beyond a value, with a choice, or anywhere."""

from dataclasses import replace

import numpy as np
import pytest

from tests.findings.labels.infeasible_share import SPACE, above, anywhere, made
from tests.findings.studies import (
    SEEDS,
    only,
    study,
)
from tunebook_server.domain.changes import Range
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.infeasible_share import check
from tunebook_server.domain.findings.separation import separation
from tunebook_server.domain.trial import Configuration


@pytest.mark.parametrize(("trials", "words"), [(0, "10 more"), (9, "1 more")])
def test_few_trials_say_how_many_more_are_needed(trials: int, words: str) -> None:
    finding = only(check(study(SPACE, made(anywhere(0.5), 0.0), trials=trials)))
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.sentence.startswith(f"{words} ended trial")


def test_too_few_infeasible_ones_blame_nothing() -> None:
    finding = only(check(study(SPACE, made(lambda c, _: float(c["learning_rate"]) > 0.2, 0.0), trials=12)))
    assert finding.verdict == Verdict.WARN
    assert "too few to tell" in finding.sentence


def test_the_range_is_cut_at_the_threshold() -> None:
    finding = only(check(study(SPACE, made(above(0.1), 0.01), trials=400)))
    assert finding.proposal is not None
    (change,) = finding.proposal.changes
    assert isinstance(change, Range)
    assert (change.key, change.low) == ("learning_rate", 1e-4)
    assert change.high == pytest.approx(0.1, rel=0.1)
    finding = only(check(study(SPACE, made(lambda c, _: int(c["layers"]) < 5, 0.01), trials=100)))
    assert finding.proposal is not None
    assert finding.proposal.changes == (Range("layers", 5.0, 12.0),)


def test_the_best_trials_are_not_cut_off() -> None:
    """Best just where it turns unstable: most diverge there, and the best does not."""

    def rule(configuration: Configuration, random: np.random.Generator) -> float | None:
        rate = float(configuration["learning_rate"])
        return None if rate > 0.05 and random.random() < 0.7 else 1 - rate

    finding = only(check(study(SPACE, rule, trials=200)))
    assert finding.evidence["best_cut"] == "learning_rate"
    assert finding.proposal is None
    assert "stability" in finding.sentence


def test_the_exact_cut_is_that_of_a_search_through_all() -> None:
    for seed in SEEDS:
        results = study(SPACE, made(above(0.05, 0.7), 0.0), trials=80, seed=seed)
        found = separation(results)
        assert found is not None
        assert gain(results.infeasible, found.there) == pytest.approx(best_gain(results), rel=1e-9)


def best_gain(results: Results) -> float:
    best = 0.0
    for column in results.columns.values.values():
        for value in np.unique(column):
            best = max(best, gain(results.infeasible, column <= value))
    for key in ("optimizer", "norm"):
        for choice in range(3):
            best = max(best, gain(results.infeasible, results.columns.values[key] == choice))
    return best


def gain(infeasible: np.ndarray, there: np.ndarray) -> float:
    """Log-likelihood of the outcomes by side, over that by their common share."""

    def likely(outcomes: np.ndarray) -> float:
        share = outcomes.mean() if len(outcomes) else 0.0
        every = np.where(outcomes, share, 1 - share)
        return float(np.log(every).sum()) if len(outcomes) else 0.0

    return likely(infeasible[there]) + likely(infeasible[~there]) - likely(infeasible)


def test_chance_separates_at_its_level() -> None:
    """p is uniform or larger where outcomes have nothing to do with the values."""
    studies = (study(SPACE, made(anywhere(0.3), 0.0), trials=40, seed=seed) for seed in range(100))
    chances = np.array([found.p for results in studies if (found := separation(results)) is not None])
    assert len(chances) == 100
    for level, most in ((0.01, 0.04), (0.1, 0.19), (0.5, 0.64)):  # three standard deviations
        assert np.mean(chances <= level) <= most
    assert np.mean(chances > 0.5) >= 0.35


def test_a_study_may_ask_for_fewer_trials() -> None:
    for trials in range(6):
        results = replace(
            study(SPACE, made(anywhere(0.5), 0.0), trials=trials),
            thresholds={"infeasible_share.needed_trials": 0},
        )
        for finding in check(results):
            assert finding.verdict in Verdict
            assert trials > 0 or finding.verdict == Verdict.NOT_ENOUGH_DATA


def test_a_conditional_hyperparameter_is_named_with_its_condition() -> None:
    rates = [{**SPACE[1], "when": {"optimizer": [name]}} for name in ("adam", "nesterov")]
    choices = {**SPACE[0], "choices": ["adam", "nesterov"]}

    def ill(configuration: Configuration, random: np.random.Generator) -> bool:
        return configuration["optimizer"] == "nesterov" and float(configuration["learning_rate"]) > 0.1

    finding = only(check(study([choices, *rates], made(ill, 0.0), trials=80)))
    assert "chiefly with learning_rate (optimizer=nesterov) above" in finding.sentence
    assert finding.proposal is not None
    assert finding.proposal.title.startswith("Cut learning_rate (optimizer=nesterov) to ")

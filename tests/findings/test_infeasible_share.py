"""Labelled studies whose infeasible trials lie beyond a value, with a choice, or anywhere."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.findings.studies import (
    NOISE,
    SEEDS,
    Rule,
    flipped,
    in_other_log_units,
    only,
    permuted,
    rescaled,
    study,
    verdicts,
)
from tunebook_server.domain.changes import Choices, Fix, Range
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.infeasible_share import check
from tunebook_server.domain.findings.separation import separation
from tunebook_server.domain.trial import Configuration

SPACE: list[dict[str, object]] = [
    {"name": "optimizer", "type": "categorical", "choices": ["adam", "nesterov", "<b>lamb</b>"]},
    {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
    {"name": "layers", "type": "integer", "low": 1, "high": 12},
    {"name": "norm", "type": "boolean"},
    {"name": "dropout", "type": "float", "low": 0.0, "high": 0.8},
]
Ill = Callable[[Configuration, np.random.Generator], bool]
BUG = "looks like a bug"


def made(ill: Ill, noise: float) -> Rule:
    def loss(configuration: Configuration, random: np.random.Generator) -> float | None:
        if ill(configuration, random):
            return None
        miss = (np.log10(float(configuration["learning_rate"])) + 2) / 4
        return float(miss**2 + noise * random.standard_normal())

    return loss


def labelled(ill: Ill, trials: int = 60) -> list[Results]:
    """Other outcomes at every noise level, where they are drawn."""
    return [
        study(SPACE, made(ill, noise), trials=trials, seed=seed + 100 * place)
        for place, noise in enumerate(NOISE)
        for seed in SEEDS
    ]


def above(rate: float, share: float = 1.0) -> Ill:
    return lambda c, random: float(c["learning_rate"]) > rate and random.random() < share


def anywhere(share: float) -> Ill:
    return lambda _, random: random.random() < share


@pytest.mark.parametrize("reliably", [1.0, 0.8])
def test_a_rate_above_which_trials_diverge_is_found(reliably: float) -> None:
    found = [only(check(results)) for results in labelled(above(0.1, reliably))]
    right = [
        finding.verdict == Verdict.WARN
        and finding.evidence.get("best_cut") == "learning_rate"
        and finding.evidence["side"] == "above"
        and 0.04 <= float(finding.evidence["value"] or 0) <= 0.3
        and BUG not in finding.sentence
        for finding in found
    ]
    assert np.mean(right) >= 0.95


def test_a_choice_that_cannot_run_is_found_and_dropped() -> None:
    found = [only(check(results)) for results in labelled(lambda c, _: c["optimizer"] == "<b>lamb</b>")]
    drop = (Choices("optimizer", ("adam", "nesterov")),)
    assert np.mean([each.proposal is not None and each.proposal.changes == drop for each in found]) >= 0.95
    found = [only(check(results)) for results in labelled(lambda c, _: c["norm"] is False)]
    hold = (Fix("norm", True),)
    assert np.mean([each.proposal is not None and each.proposal.changes == hold for each in found]) >= 0.95


def test_two_hyperparameters_that_are_to_blame_together_are_no_bug() -> None:
    def ill(configuration: Configuration, _: np.random.Generator) -> bool:
        return bool(np.log10(float(configuration["learning_rate"])) + int(configuration["layers"]) / 4 > 0.3)

    found = [only(check(results)) for results in labelled(ill)]
    blamed = [finding.evidence.get("best_cut") in ("learning_rate", "layers") for finding in found]
    assert (
        np.mean([BUG not in each.sentence and right for each, right in zip(found, blamed, strict=True)])
        >= 0.95
    )


def test_few_infeasible_trials_are_no_alarm() -> None:
    found = [only(check(results)) for results in labelled(anywhere(0.04))]
    assert np.mean([finding.verdict != Verdict.PASS for finding in found]) <= 0.05


@pytest.mark.parametrize(("share", "verdict"), [(0.3, Verdict.WARN), (0.75, Verdict.FAIL)])
def test_infeasible_trials_anywhere_are_called_a_bug(share: float, verdict: Verdict) -> None:
    found = [only(check(results)) for results in labelled(anywhere(share))]
    assert np.mean([each.verdict == verdict and BUG in each.sentence for each in found]) >= 0.95
    assert all(each.proposal is None for each in found if BUG in each.sentence)


def test_a_borderline_share_gets_a_verdict_either_way() -> None:
    found = {only(check(results)).verdict for results in labelled(anywhere(0.1))}
    assert found <= {Verdict.PASS, Verdict.WARN}


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


@pytest.mark.parametrize("ill", [above(0.1), anywhere(0.04), anywhere(0.3), anywhere(0.75)])
def test_what_changes_no_verdict(ill: Ill) -> None:
    for results in labelled(ill)[::7]:
        before = verdicts(check(results))
        assert verdicts(check(permuted(results))) == before
        assert verdicts(check(rescaled(results, 250.0, -3.0))) == before
        assert verdicts(check(flipped(results))) == before
        moved = in_other_log_units(results, "learning_rate", 1_000.0)
        assert verdicts(check(moved)) == before
        cut, moved_cut = (only(check(each)).evidence.get("value") for each in (results, moved))
        if isinstance(cut, float) and only(check(results)).evidence["best_cut"] == "learning_rate":
            assert moved_cut == pytest.approx(1_000 * cut)


@pytest.mark.parametrize("loss", [None, 0.5, 1e300])
def test_hostile_studies_raise_nothing(loss: float | None) -> None:
    for finding in check(study(SPACE, lambda *_: loss)):
        assert finding.verdict in Verdict
        assert finding.verdict == Verdict.FAIL or loss is not None


def test_hostile_values_raise_nothing() -> None:
    results = study(SPACE, made(anywhere(0.3), 0.01))
    for place, value in enumerate([np.inf, -np.inf, np.nan, 0.0, -1.0, 1e308, -1e308]):
        for key in ("learning_rate", "layers", "dropout"):
            results.columns.values[key][place::7] = value
    results.columns.values["optimizer"][:] = np.nan
    assert only(check(results)).verdict == Verdict.WARN


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

"""Labelled studies that sampled their good region well, or hit it a few times by luck."""

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
from tunebook_server.domain.changes import Trials
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.sampling import check, outcomes
from tunebook_server.domain.trial import Configuration

Entry = dict[str, object]
Make = Callable[[float], Rule]
RATE: Entry = {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
MANY: list[Entry] = [
    RATE,
    *({"name": f"dropout_{place}", "type": "float", "low": 0.0, "high": 1.0} for place in range(5)),
]


def units(configuration: Configuration) -> np.ndarray:
    rate = (np.log10(float(configuration["learning_rate"])) + 4) / 4
    others = [float(value) for name, value in configuration.items() if name.startswith("dropout")]
    return np.array([rate, *others])


def bowl(noise: float, infeasible: float = 0.0) -> Rule:
    """Losses from 0 to 1: the mean square distance from the middle."""

    def loss(configuration: Configuration, random: np.random.Generator) -> float | None:
        if random.random() < infeasible:
            return None
        far = (2 * units(configuration) - 1) ** 2
        return float(far.mean() + noise * random.standard_normal())

    return loss


def needle(noise: float) -> Rule:
    """Flat at 1, but for a narrow funnel down to 0 a tenth of the range wide."""

    def loss(configuration: Configuration, random: np.random.Generator) -> float:
        far = np.abs(units(configuration)[0] - 0.37) / 0.05
        return float(min(1.0, far) + noise * random.standard_normal())

    return loss


def labelled(space: list[Entry], make: Make, trials: int, *, retrained: bool = False) -> list[Results]:
    """`retrained`: the noise is known, as the deviation between retrainings."""
    return [
        replace(
            study(space, make(noise), trials=trials, seed=seed + 100 * place),
            retrain_deviation=max(noise, 0.01) if retrained else None,
        )
        for place, noise in enumerate(NOISE)
        for seed in SEEDS
    ]


def rate_of(found: list[Results], verdict: Verdict) -> float:
    return float(np.mean([only(check(results)).verdict == verdict for results in found]))


@pytest.mark.parametrize("retrained", [False, True])
def test_a_needle_is_noticed(retrained: bool) -> None:
    assert rate_of(labelled([RATE], needle, 40, retrained=retrained), Verdict.WARN) >= 0.95


def test_many_hyperparameters_and_few_trials_are_noticed() -> None:
    found = labelled(MANY, bowl, 40, retrained=True)
    assert rate_of([each for each in found if each.retrain_deviation == 0.01], Verdict.WARN) >= 0.95


def test_a_wide_good_region_is_no_alarm() -> None:
    assert rate_of(labelled([RATE], bowl, 60), Verdict.PASS) >= 0.95
    assert rate_of(labelled([RATE, MANY[1]], bowl, 100), Verdict.PASS) >= 0.95
    assert rate_of(labelled([RATE], bowl, 200, retrained=True), Verdict.PASS) >= 0.95


def test_equally_good_trials_are_no_alarm_whatever_their_noise() -> None:
    """The best of them is the luckiest: the others lie several deviations behind it."""
    studies = (
        study([RATE], lambda _, r: float(r.standard_normal()), trials=60, seed=seed) for seed in range(100)
    )
    found = [replace(each, retrain_deviation=1.0) for each in studies]
    assert rate_of(found, Verdict.WARN) <= 0.05


def test_a_borderline_one_gets_a_verdict_either_way() -> None:
    found = {only(check(results)).verdict for results in labelled(MANY[:3], bowl, 40)}
    assert found <= {Verdict.PASS, Verdict.WARN}


@pytest.mark.parametrize(("good", "verdict"), [(4, Verdict.WARN), (5, Verdict.PASS)])
def test_the_border_is_five_in_the_good_region(good: int, verdict: Verdict) -> None:
    losses = iter([0.0] + [0.1] * (good - 1) + [1.0] * (30 - good))
    assert only(check(study([RATE], lambda *_: next(losses), trials=30))).verdict == verdict


def test_few_trials_say_how_many_more_are_needed() -> None:
    finding = only(check(study([RATE], bowl(0.01), trials=7)))
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.sentence == "3 more feasible trials needed (7 of 10)."


def test_as_many_trials_as_are_wanted_are_enough_more_often_than_not() -> None:
    passed = []
    for seed in range(20):
        first = only(check(study(MANY[:3], bowl(0.01), trials=20, seed=seed)))
        if first.verdict == Verdict.WARN:
            assert first.proposal is not None
            (change,) = first.proposal.changes
            assert isinstance(change, Trials)
            assert 20 < change.trials <= 80
            again = only(check(study(MANY[:3], bowl(0.01), trials=change.trials, seed=seed + 50)))
            passed.append(again.verdict == Verdict.PASS)
    assert len(passed) >= 10
    assert np.mean(passed) >= 0.5


def test_too_many_hyperparameters_are_named() -> None:
    finding = only(check(study(MANY, bowl(0.01), trials=20)))
    assert finding.verdict == Verdict.WARN
    assert "fewer nuisance hyperparameters than 6" in finding.sentence


def test_a_running_study_waits_for_its_budget() -> None:
    finding = only(check(replace(study([RATE], needle(0.01), trials=40), budget=1_000)))
    assert finding.verdict == Verdict.WARN
    assert finding.proposal is None
    assert "still to come" in finding.sentence


def test_a_space_that_was_tried_whole_wants_no_more() -> None:
    layers: Entry = {"name": "layers", "type": "integer", "low": 1, "high": 12}
    results = study([layers], lambda c, _: float(int(c["layers"]) != 3), trials=12)
    finding = only(check(results))
    assert finding.verdict == Verdict.PASS
    assert "every configuration" in finding.sentence


def test_infeasible_trials_count_as_the_worst() -> None:
    results = study([RATE], bowl(0.0, infeasible=0.3), trials=60)
    every = outcomes(results)
    assert np.isfinite(every).all()
    assert (every[results.infeasible] == results.losses[results.feasible].max()).all()
    few, all_feasible = (only(check(each)) for each in (results, study([RATE], bowl(0.0), trials=60)))
    assert few.evidence["ended_trials"] == all_feasible.evidence["ended_trials"] == 60
    assert float(few.evidence["doubling_gain"] or 0) > 0


def test_each_scientific_choice_keeps_its_share_of_resampled_studies() -> None:
    """One value holds all that is good: half of a study holds its half, and doubling seldom gains."""
    choice: Entry = {"name": "optimizer", "type": "categorical", "choices": ["a", "b"], "role": "scientific"}
    results = study([choice, RATE], lambda c, _: float(c["optimizer"] == "b"), trials=12)
    mixed = study(
        [{**choice, "role": "nuisance"}, RATE], lambda c, _: float(c["optimizer"] == "b"), trials=12
    )
    assert only(check(results)).evidence["gained_share"] == 0
    assert float(only(check(mixed)).evidence["gained_share"] or 0) > 0.003  # 2^-6 of them hold none


@pytest.mark.parametrize("deviation", [None, 0.02])
@pytest.mark.parametrize("space", [[RATE], MANY])
def test_what_changes_no_verdict(space: list[Entry], deviation: float | None) -> None:
    for results in labelled(space, bowl, 40)[::7]:
        known = replace(results, retrain_deviation=deviation)
        before = verdicts(check(known))
        assert verdicts(check(permuted(known))) == before
        assert verdicts(check(rescaled(known, 250.0, -3.0))) == before
        assert verdicts(check(flipped(known))) == before
        assert verdicts(check(in_other_log_units(known, "learning_rate", 1_000.0))) == before


@pytest.mark.parametrize("loss", [None, 0.5, 1e300])
@pytest.mark.parametrize("deviation", [None, 0.0, np.nan, np.inf, 1e-300])
def test_hostile_studies_raise_nothing(loss: float | None, deviation: float | None) -> None:
    results = replace(study([RATE], lambda *_: loss), retrain_deviation=deviation)
    for finding in check(results):
        assert finding.verdict == (Verdict.NOT_ENOUGH_DATA if loss is None else Verdict.PASS)


def test_losses_nearly_as_far_apart_as_doubles_can_be_raise_nothing() -> None:
    far = iter([-8e307, 8e307, 0.0] * 20)
    assert only(check(study([RATE], lambda *_: next(far)))).verdict in Verdict


def test_a_study_may_ask_for_fewer_trials() -> None:
    for trials in range(6):
        results = replace(study([RATE], bowl(0.01), trials=trials), thresholds={"sampling.needed_trials": 0})
        for finding in check(results):
            assert finding.verdict in Verdict
            assert trials > 0 or finding.verdict == Verdict.NOT_ENOUGH_DATA

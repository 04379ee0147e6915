"""Labelled studies that sampled their good region well, or hit it a few times by luck."""

from dataclasses import replace

import numpy as np
import pytest

from tests.findings.labels.sampling import MANY, RATE, Entry, bowl, needle
from tests.findings.studies import (
    only,
    study,
)
from tunebook_server.domain.changes import Trials
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.sampling import check, outcomes


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


def test_a_study_may_ask_for_fewer_trials() -> None:
    for trials in range(6):
        results = replace(study([RATE], bowl(0.01), trials=trials), thresholds={"sampling.needed_trials": 0})
        for finding in check(results):
            assert finding.verdict in Verdict
            assert trials > 0 or finding.verdict == Verdict.NOT_ENOUGH_DATA

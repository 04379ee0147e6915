"""Runs that gained nothing for their second half, and runs that needed it."""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.findings.curve_studies import (
    PLAIN_SPACE,
    Drawn,
    curve_study,
    hostile,
    labelled,
    recorded,
    settling,
    share,
    unchanged,
)
from tests.findings.studies import study
from tunebook_server.domain.changes import Fix
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.leading import best_of_each_value
from tunebook_server.domain.findings.saturated import check


@pytest.mark.parametrize(
    "drawn", [Drawn(settling(20)), Drawn(settling(20), outliers=0.5), Drawn(settling(20), quantum=0.01)]
)
def test_a_run_that_arrived_early_is_noticed(drawn: Drawn) -> None:
    assert share(check, drawn, Verdict.WARN) >= 0.95


@pytest.mark.parametrize("drawn", [Drawn(settling(2)), Drawn(settling(4)), Drawn(settling(3), outliers=0.5)])
def test_a_run_that_was_needed_is_no_alarm(drawn: Drawn) -> None:
    assert share(check, drawn, Verdict.PASS) >= 0.95


def test_a_borderline_one_gets_a_verdict_either_way() -> None:
    found = {check(results)[0].verdict for results in labelled(Drawn(settling(10)))}
    assert found <= {Verdict.PASS, Verdict.WARN}


def test_one_value_that_needs_its_steps_keeps_them() -> None:
    (finding,) = check(curve_study({"adam": Drawn(settling(30)), "nesterov": Drawn(settling(2))}))
    assert finding.verdict == Verdict.PASS
    assert finding.evidence["compared_trials_that_saturate"] == 1


def test_few_evaluations_are_not_enough() -> None:
    results = curve_study(Drawn(settling(30), steps=np.arange(0, 1_000, 100)))
    assert check(results)[0].verdict == Verdict.NOT_ENOUGH_DATA


def test_a_shorter_length_is_proposed_where_the_space_holds_one() -> None:
    (finding,) = check(curve_study(Drawn(settling(30))))
    assert finding.proposal is not None
    (change,) = finding.proposal.changes
    assert isinstance(change, Fix)
    assert change.key == "steps"
    assert 400 <= int(change.value) <= 2_000
    assert check(curve_study(Drawn(settling(30)), space=PLAIN_SPACE))[0].proposal is None


@pytest.mark.parametrize("speed", [2.0, 30.0])
def test_what_changes_no_verdict(speed: float) -> None:
    for results in labelled(Drawn(settling(speed)))[::7]:
        unchanged(check, results)


def test_hostile_curves_raise_nothing() -> None:
    for results in hostile():
        assert check(results)[0].verdict in Verdict


@pytest.mark.parametrize("name", ["overfitting", "late variance", "still improving", "long tail"])
def test_real_curves(name: str) -> None:
    """What turns round early, or only scatters, gains nothing either."""
    saturates = name in ("overfitting", "late variance")
    assert (check(recorded(name))[0].verdict == Verdict.WARN) == saturates


def test_the_best_of_each_value_are_the_best_of_their_kind() -> None:
    space: list[Mapping[str, object]] = [
        {"name": "optimizer", "type": "categorical", "choices": ["a", "b"], "role": "scientific"},
        {"name": "width", "type": "integer", "low": 1, "high": 1_000, "role": "scientific"},
    ]
    results = study(space, lambda _, random: float(random.random()), trials=80)
    best = best_of_each_value(results)
    kinds = [
        (results.columns.values["optimizer"][place], results.units("width")[place] // 0.2) for place in best
    ]
    assert len(set(kinds)) == len(kinds) == 10
    assert best[0] == results.ranked[0]
    assert (np.diff(results.losses[best]) >= 0).all()

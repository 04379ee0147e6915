"""Curves on their way, curves that have arrived, and runs that were cut on purpose."""

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
from tunebook_server.domain.changes import Fix
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.still_improving import check

UNEVEN = np.unique(np.geomspace(1, 4_000, 200).astype(np.int64))


@pytest.mark.parametrize(
    "drawn",
    [
        Drawn(settling(2)),
        Drawn(settling(2.5), steps=UNEVEN),
        Drawn(settling(2.5), outliers=0.5),
        Drawn(settling(2), quantum=0.01),
    ],
)
def test_a_curve_on_its_way_is_noticed(drawn: Drawn) -> None:
    assert share(check, drawn, Verdict.WARN) >= 0.95


@pytest.mark.parametrize(
    "drawn", [Drawn(settling(15)), Drawn(settling(15), outliers=0.5), Drawn(settling(30), quantum=0.01)]
)
def test_a_curve_that_has_arrived_is_no_alarm(drawn: Drawn) -> None:
    assert share(check, drawn, Verdict.PASS) >= 0.95


def test_a_borderline_one_gets_a_verdict_either_way() -> None:
    found = {check(results)[0].verdict for results in labelled(Drawn(settling(6)))}
    assert found <= {Verdict.PASS, Verdict.WARN}


@pytest.mark.parametrize(
    "drawn", [Drawn(settling(2), steps=np.arange(0, 1_000, 100)), Drawn(settling(2), nan_tail=20)]
)
def test_a_last_quarter_without_evaluations_is_not_enough(drawn: Drawn) -> None:
    assert check(curve_study(drawn))[0].verdict == Verdict.NOT_ENOUGH_DATA


def test_a_stopped_trial_alone_says_nothing() -> None:
    (finding,) = check(curve_study(Drawn(settling(2), share=0.5), state="stopped"))
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA


def test_twice_the_length_is_proposed_where_the_space_holds_one() -> None:
    (finding,) = check(curve_study(Drawn(settling(2))))
    assert finding.evidence["share_of_best_steps_in_last_quarter"] == 1.0
    assert finding.proposal is not None
    assert finding.proposal.changes == (Fix("steps", 8_000),)
    assert check(curve_study(Drawn(settling(2)), space=PLAIN_SPACE))[0].proposal is None


@pytest.mark.parametrize("speed", [2.0, 15.0])
def test_what_changes_no_verdict(speed: float) -> None:
    for results in labelled(Drawn(settling(speed)))[::7]:
        unchanged(check, results)


def test_hostile_curves_raise_nothing() -> None:
    for results in hostile():
        assert check(results)[0].verdict in Verdict


@pytest.mark.parametrize("name", ["overfitting", "late variance", "still improving", "long tail"])
def test_real_curves(name: str) -> None:
    assert (check(recorded(name))[0].verdict == Verdict.WARN) == (name == "still improving")

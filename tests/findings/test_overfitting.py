"""Validation curves that turn round, settle, jump, or are too short to say."""

import numpy as np
import pytest

from tests.findings.curve_studies import (
    PLAIN_SPACE,
    SPACE,
    Drawn,
    curve_study,
    hostile,
    jumping,
    labelled,
    recorded,
    settling,
    share,
    turning,
    unchanged,
)
from tunebook_server.domain.changes import Vary
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.overfitting import check

TRAIN = settling(4, 0.0)


@pytest.mark.parametrize("rise", [0.1, 0.3])
def test_a_validation_curve_that_turns_round_is_noticed(rise: float) -> None:
    assert share(check, Drawn(turning(rise), TRAIN), Verdict.WARN) >= 0.95


@pytest.mark.parametrize("drawn", [Drawn(settling(3), TRAIN), Drawn(settling(15), TRAIN, outliers=0.5)])
def test_a_curve_that_settles_is_no_alarm(drawn: Drawn) -> None:
    assert share(check, drawn, Verdict.PASS) >= 0.95


def test_training_that_gets_worse_too_is_another_matter() -> None:
    assert share(check, Drawn(jumping(0.3), jumping(0.3)), Verdict.PASS) >= 0.95


def test_a_borderline_rise_gets_a_verdict_either_way() -> None:
    assert {check(results)[0].verdict for results in labelled(Drawn(turning(0.03), TRAIN))} <= {
        Verdict.PASS,
        Verdict.WARN,
    }


def test_the_best_of_one_value_is_enough_and_is_named() -> None:
    results = curve_study({"adam": Drawn(turning(0.3), TRAIN), "nesterov": Drawn(settling(15), TRAIN)})
    (finding,) = check(results)
    assert finding.verdict == Verdict.WARN
    adam = results.columns.values["optimizer"] == 0
    best = np.flatnonzero(adam)[results.losses[adam].argmin()]
    assert finding.evidence["trial"] == results.columns.numbers[best]
    assert finding.figure is not None
    assert finding.figure.options == {"trials": str(results.columns.ids[best])}


def test_few_evaluations_say_how_many_more_are_needed() -> None:
    (finding,) = check(curve_study(Drawn(turning(0.3), TRAIN, steps=np.arange(0, 1_000, 100))))
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.sentence == "3 more late evaluations needed (2 of 5)."


def test_regularisation_that_was_held_is_searched_next() -> None:
    drawn = Drawn(turning(0.3), TRAIN)
    space = [
        *SPACE[:3],
        {"name": "weight_decay", "type": "fixed", "value": 0.5, "when": {"optimizer": ["adam"]}},
    ]
    (finding,) = check(curve_study(drawn, space=space))
    assert finding.proposal is not None
    (change,) = finding.proposal.changes
    assert isinstance(change, Vary)
    assert change.parameter == {
        "name": "weight_decay",
        "type": "float",
        "low": 1e-6,
        "high": 0.5,
        "scale": "log",
        "role": "nuisance",
        "when": {"optimizer": ["adam"]},
    }
    assert check(curve_study(drawn, space=PLAIN_SPACE))[0].proposal is None


@pytest.mark.parametrize("shape", [turning(0.3), settling(3)])
def test_what_changes_no_verdict(shape: object) -> None:
    for results in labelled(Drawn(shape, TRAIN))[::7]:  # type: ignore[arg-type]
        unchanged(check, results)


def test_hostile_curves_raise_nothing() -> None:
    for results in hostile():
        assert check(results)[0].verdict in (Verdict.PASS, Verdict.NOT_ENOUGH_DATA)


@pytest.mark.parametrize("name", ["overfitting", "late variance", "still improving", "long tail"])
def test_real_curves(name: str) -> None:
    assert (check(recorded(name))[0].verdict == Verdict.WARN) == (name == "overfitting")

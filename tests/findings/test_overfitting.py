"""Validation curves that turn round, settle, jump, or are too short to say."""

import numpy as np
import pytest

from tests.findings.curve_studies import (
    PLAIN_SPACE,
    SPACE,
    Drawn,
    curve_study,
    recorded,
    settling,
    turning,
)
from tests.findings.labels.overfitting import TRAIN
from tunebook_server.domain.changes import Vary
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.overfitting import check


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


@pytest.mark.parametrize("name", ["overfitting", "late variance", "still improving", "long tail"])
def test_real_curves(name: str) -> None:
    assert (check(recorded(name))[0].verdict == Verdict.WARN) == (name == "overfitting")

"""Runs that gained nothing for their second half, and runs that needed it."""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.findings.curve_studies import (
    PLAIN_SPACE,
    Drawn,
    curve_study,
    recorded,
    settling,
)
from tests.findings.studies import study
from tunebook_server.domain.changes import Fix
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.leading import best_of_each_value
from tunebook_server.domain.findings.saturated import check


def test_one_value_that_needs_its_steps_keeps_them() -> None:
    (finding,) = check(curve_study({"adam": Drawn(settling(30)), "nesterov": Drawn(settling(2))}))
    assert finding.verdict == Verdict.PASS
    assert finding.evidence["compared_trials_that_saturate"] == 1


def test_a_shorter_length_is_proposed_where_the_space_holds_one() -> None:
    (finding,) = check(curve_study(Drawn(settling(30))))
    assert finding.proposal is not None
    (change,) = finding.proposal.changes
    assert isinstance(change, Fix)
    assert change.key == "steps"
    assert 400 <= int(change.value) <= 2_000
    assert check(curve_study(Drawn(settling(30)), space=PLAIN_SPACE))[0].proposal is None


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

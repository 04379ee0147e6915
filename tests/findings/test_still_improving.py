"""Curves on their way, curves that have arrived, and runs that were cut on purpose."""

import pytest

from tests.findings.curve_studies import (
    PLAIN_SPACE,
    Drawn,
    curve_study,
    recorded,
    settling,
)
from tunebook_server.domain.changes import Fix
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.still_improving import check


def test_twice_the_length_is_proposed_where_the_space_holds_one() -> None:
    (finding,) = check(curve_study(Drawn(settling(2))))
    assert finding.evidence["share_of_best_steps_in_last_quarter"] == 1.0
    assert finding.proposal is not None
    assert finding.proposal.changes == (Fix("steps", 8_000),)
    assert check(curve_study(Drawn(settling(2)), space=PLAIN_SPACE))[0].proposal is None


@pytest.mark.parametrize("name", ["overfitting", "late variance", "still improving", "long tail"])
def test_real_curves(name: str) -> None:
    assert (check(recorded(name))[0].verdict == Verdict.WARN) == (name == "still improving")

"""Labelled studies of one learning rate whose best value lies inside, beyond an edge, or near one."""

import numpy as np
import pytest

from tests.findings.labels.boundary import BEYOND, INSIDE, SPACE, bowl
from tests.findings.studies import (
    only,
    study,
)
from tunebook_server.domain.changes import Range
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.boundary import check, share_of_best


def test_few_trials_say_how_many_more_are_needed() -> None:
    finding = only(check(study(SPACE, bowl(INSIDE, 0.01), trials=7)), "learning_rate")
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.sentence == "3 more feasible trials needed (7 of 10)."


def test_the_range_is_widened_that_way_by_a_decade() -> None:
    finding = only(check(study(SPACE, bowl(BEYOND, 0.01))), "learning_rate")
    assert finding.proposal is not None
    assert finding.proposal.changes == (Range("learning_rate", 1e-4, 10.0),)


def test_a_share_is_widened_towards_one_and_never_beyond() -> None:
    momentum = [{"name": "momentum", "type": "float", "low": 0.5, "high": 0.99}]
    (finding,) = check(study(momentum, lambda configuration, _: -float(configuration["momentum"])))
    assert finding.proposal is not None
    (change,) = finding.proposal.changes
    assert isinstance(change, Range)
    assert change.low == 0.5
    assert change.high == pytest.approx(0.999)
    whole = [{"name": "dropout", "type": "float", "low": 0.0, "high": 1.0}]
    (finding,) = check(study(whole, lambda configuration, _: -float(configuration["dropout"])))
    assert (finding.verdict, finding.proposal) == (Verdict.WARN, None)


def test_nothing_is_widened_into_infeasible_ground() -> None:
    finding = only(check(study(SPACE, bowl(3.0, 0.0, unstable_above=0.6), trials=100)), "learning_rate")
    assert finding.verdict == Verdict.WARN
    assert finding.proposal is None
    assert "stability" in finding.sentence


def test_a_good_region_well_inside_can_be_narrowed_to() -> None:
    finding = only(check(study(SPACE, bowl(INSIDE, 0.0), trials=100)), "learning_rate")
    assert finding.verdict == Verdict.PASS
    assert finding.proposal is not None
    (change,) = finding.proposal.changes
    assert isinstance(change, Range)
    assert 1e-4 < change.low < INSIDE < change.high < 1.0


def test_the_share_is_that_of_resamples() -> None:
    marked = np.array([False, True, False, False, True, False])
    random = np.random.default_rng(0)
    best = random.integers(0, len(marked), (20_000, len(marked))).min(axis=1)
    assert share_of_best(marked) == pytest.approx(marked[best].mean(), abs=0.01)

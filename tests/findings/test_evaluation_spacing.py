"""Evaluations at regular steps, by time, and on other schedules."""

import numpy as np
from numpy.typing import NDArray

from tests.findings.labels.evaluation_spacing import evaluated
from tests.findings.measured_studies import SPACE, gentle
from tests.findings.studies import (
    only,
    study,
)
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.evaluation_spacing import check


def test_a_thinned_curve_is_judged_as_the_whole_one() -> None:
    def long(random: np.random.Generator) -> NDArray[np.int64]:
        return np.arange(0, 50_000, 10)

    assert only(check(evaluated(long, points_most=1_000))).verdict == Verdict.PASS

    def timed(random: np.random.Generator) -> NDArray[np.int64]:
        return np.cumsum(random.integers(50, 150, 5_000))

    assert only(check(evaluated(timed, points_most=1_000))).verdict == Verdict.WARN


def test_few_evaluations_say_how_many_more_are_needed() -> None:
    finding = only(check(evaluated(lambda _: np.array([0, 10, 20]))))
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.evidence == {"have": 3, "need": 6}
    assert only(check(study(SPACE, gentle))).verdict == Verdict.NOT_ENOUGH_DATA

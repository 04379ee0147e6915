"""Evaluations at regular steps, by time, and on other schedules."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.findings.measured_studies import SPACE, gentle
from tests.findings.studies import (
    LOSS,
    SEEDS,
    flipped,
    only,
    permuted,
    rescaled,
    study,
    verdicts,
    with_curves,
)
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.curve import bounded
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.evaluation_spacing import check

Schedule = Callable[[np.random.Generator], NDArray[np.int64]]
JITTER = (0.03, 0.1, 0.5)  # of the time of an interval


def by_time(jitter: float, interval: float = 100) -> Schedule:
    def steps(random: np.random.Generator) -> NDArray[np.int64]:
        gaps = interval * np.exp(jitter * random.standard_normal(60))
        return np.cumsum(np.maximum(gaps, 1)).astype(np.int64)

    return steps


REGULAR: dict[str, Schedule] = {
    "every 100": lambda _: np.arange(0, 6_001, 100),
    "from 1, to the end": lambda _: np.array([1, *range(100, 6_000, 100), 6_037]),
    "every epoch of 46.875 steps": lambda _: np.round(np.arange(60) * 46.875).astype(np.int64),
    "every step": lambda _: np.arange(60),
    "resumed": lambda _: np.array([*range(0, 3_000, 100), *range(2_950, 6_000, 100)]),
    "some lost": lambda random: np.sort(random.choice(np.arange(0, 6_001, 100), 57, replace=False)),
}
IRREGULAR: dict[str, Schedule] = {
    **{f"by time, {jitter}": by_time(jitter) for jitter in JITTER},
    "doubling": lambda _: 2 ** np.arange(16),
    "evenly on a log axis": lambda _: np.unique(np.geomspace(1, 10_000, 60).astype(np.int64)),
    "slower after a while": lambda _: np.array([*range(0, 300, 10), *range(300, 3_000, 100)]),
}


def evaluated(schedule: Schedule, *, seed: int = 0, trials: int = 12, points_most: int = 10_000) -> Results:
    random = np.random.default_rng(seed)
    curves = {}
    for number in range(trials):
        steps = schedule(random).astype(np.int64)
        points = Points(steps, random.standard_normal(len(steps)))
        curves[number] = {LOSS.metric: bounded(points, points_most)}
    return with_curves(study(SPACE, gentle, trials=trials, seed=seed), curves)


@pytest.mark.parametrize("schedule", IRREGULAR.values(), ids=IRREGULAR)
def test_irregular_evaluations_are_noticed(schedule: Schedule) -> None:
    found = [only(check(evaluated(schedule, seed=seed))) for seed in SEEDS]
    assert np.mean([finding.verdict == Verdict.WARN for finding in found]) >= 0.95
    assert "not by time" in found[0].sentence


@pytest.mark.parametrize("schedule", REGULAR.values(), ids=REGULAR)
def test_regular_ones_are_no_alarm(schedule: Schedule) -> None:
    found = [only(check(evaluated(schedule, seed=seed))) for seed in SEEDS]
    assert np.mean([finding.verdict != Verdict.PASS for finding in found]) <= 0.05


def test_a_borderline_one_gets_a_verdict_either_way() -> None:
    found = {only(check(evaluated(by_time(0.008), seed=seed))).verdict for seed in SEEDS}
    assert found <= {Verdict.PASS, Verdict.WARN}


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


@pytest.mark.parametrize("schedule", [REGULAR["every 100"], IRREGULAR["by time, 0.1"]])
def test_what_changes_no_verdict(schedule: Schedule) -> None:
    results = evaluated(schedule)
    before = verdicts(check(results))
    assert verdicts(check(permuted(results))) == before
    assert verdicts(check(rescaled(results, 250.0, -3.0))) == before
    assert verdicts(check(flipped(results))) == before


@pytest.mark.parametrize("count", [0, 1, 2, 5, 6])
def test_hostile_curves_raise_nothing(count: int) -> None:
    steps = 2**62 // 8 * np.arange(count, dtype=np.int64)
    results = with_curves(
        study(SPACE, gentle, trials=12), {0: {LOSS.metric: Points(steps, np.full(count, np.nan))}}
    )
    assert only(check(results)).verdict == (Verdict.PASS if count == 6 else Verdict.NOT_ENOUGH_DATA)

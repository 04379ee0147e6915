"""Validation curves that go up and down with a period, and noise that does not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.findings.labels.periodicity import sawtooth, wave
from tests.findings.measured_studies import (
    SPACE,
    evaluated,
    falling,
    gentle,
    logged,
    noisy,
)
from tests.findings.studies import (
    LOSS,
    only,
    study,
    with_curves,
)
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.curve import bounded
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.periodicity import check
from tunebook_server.domain.findings.periods import fisher, period


def test_uneven_and_thinned_curves_are_judged_too() -> None:
    for waves, verdict in ((0.0, Verdict.PASS), (30.0, Verdict.WARN)):
        random = np.random.default_rng(7)
        curves = {}
        for number in range(12):
            gaps = random.integers(50, 150, 4_000 if number % 2 else 200)
            done = np.cumsum(gaps) / gaps.sum()
            values = noisy(wave(0.1 if waves else 0.0, waves), 0.05)(done, random)
            curves[number] = {LOSS.metric: bounded(Points(np.cumsum(gaps), values), 1_000)}
        results = with_curves(study(SPACE, gentle, trials=12), curves)
        assert only(check(results)).verdict == verdict


def test_a_cyclic_learning_rate_explains_it() -> None:
    def cycle(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        return 0.1 + 0.1 * np.abs(2 * (12 * done % 1) - 1)

    finding = only(check(logged({LOSS.metric: noisy(sawtooth, 0.01), "lr": cycle})))
    assert finding.verdict == Verdict.PASS
    assert finding.sentence.endswith("as the learning rate does.")


def test_few_evaluations_say_how_many_more_are_needed() -> None:
    finding = only(check(evaluated(falling, count=50)))
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.sentence == "4 more evaluations needed (50 of 54)."
    assert only(check(study(SPACE, gentle))).verdict == Verdict.NOT_ENOUGH_DATA


def test_the_chance_is_that_of_noise() -> None:
    """Over white noise, the chance is below a limit about as often as the limit says."""
    random = np.random.default_rng(0)
    found = [period(Points(np.arange(120), random.standard_normal(120))) for _ in range(600)]
    chances = np.array([each.chance for each in found if each is not None])
    assert len(chances) == 600
    assert 0.01 < np.mean(chances < 0.05) < 0.08
    assert fisher(1.0, 40) == 0.0
    assert fisher(0.0, 40) == 1.0


def test_all_of_a_pure_wave_is_its_period() -> None:
    """On even steps and on uneven ones; the trend takes a little of it."""
    random = np.random.default_rng(3)
    for steps in (np.arange(0, 2_000, 10), np.sort(random.choice(2_000, 200, replace=False))):
        found = period(Points(steps, np.sin(2 * np.pi * steps / 50) + 0.01 * random.standard_normal(200)))
        assert found is not None
        assert found.steps == pytest.approx(50, rel=0.02)
        assert found.share > 0.9
        assert found.chance < 1e-12

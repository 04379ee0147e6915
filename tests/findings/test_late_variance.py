"""Late evaluations that scatter by more, or by less, than the values that are compared differ."""

import numpy as np
import pytest

from tests.findings.curve_studies import (
    PLAIN_SPACE,
    STEPS,
    Drawn,
    curve_study,
    hostile,
    recorded,
    settling,
    unchanged,
)
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.late_variance import check
from tunebook_server.domain.findings.trends import noise

LOUD, CALM = 0.1, 0.003


def compared(noise: float, gap: float, seed: int, **drawn: object) -> Results:
    best = Drawn(settling(15), noise=noise, **drawn)  # type: ignore[arg-type]
    return curve_study(
        {"adam": best, "nesterov": Drawn(settling(15), noise=noise, gap=gap, **drawn)},  # type: ignore[arg-type]
        seed=seed,
    )


def test_scatter_above_the_gap_is_noticed() -> None:
    found = [check(compared(LOUD, 0.0, seed))[0].verdict for seed in range(20)]
    assert np.mean([verdict == Verdict.WARN for verdict in found]) >= 0.9  # the gap is one of two minima


@pytest.mark.parametrize("drawn", [{}, {"outliers": 0.5}, {"correlation": 0.5}])
def test_scatter_well_under_the_gap_is_no_alarm(drawn: dict[str, float]) -> None:
    found = [check(compared(CALM, 0.05, seed, **drawn))[0].verdict for seed in range(20)]
    assert np.mean([verdict == Verdict.PASS for verdict in found]) >= 0.95


def test_without_scientific_values_the_two_best_trials_are_compared() -> None:
    (finding,) = check(curve_study(Drawn(settling(15), noise=CALM), space=PLAIN_SPACE))
    assert finding.verdict == Verdict.PASS
    assert finding.evidence["gap"] == pytest.approx(0.32, abs=0.02)


def test_few_evaluations_are_not_enough() -> None:
    results = compared(LOUD, 0.0, 0, steps=np.arange(0, 1_000, 100))
    assert check(results)[0].verdict == Verdict.NOT_ENOUGH_DATA


@pytest.mark.parametrize("level", [CALM, LOUD])
def test_what_changes_no_verdict(level: float) -> None:
    unchanged(check, compared(level, 0.05, 1))


def test_hostile_curves_raise_nothing() -> None:
    for results in hostile():
        assert check(results)[0].verdict in Verdict


@pytest.mark.parametrize("slope", [0.0, -3.0])
@pytest.mark.parametrize("spikes", [0, 20])
def test_noise_is_that_of_the_evaluations_and_not_of_trend_or_spikes(slope: float, spikes: int) -> None:
    random = np.random.default_rng(0)
    found = []
    for _ in range(20):
        values = slope * STEPS / STEPS[-1] + 0.1 * random.standard_normal(len(STEPS))
        if spikes:
            values[::spikes] += 50.0
        found.append(noise(Points(STEPS, values)))
    assert np.median(found) == pytest.approx(0.1, rel=0.25)


def test_noise_of_an_error_rate_is_half_an_example_at_least() -> None:
    errors = np.full(len(STEPS), 8 / 400)
    errors[-3] = 9 / 400
    assert noise(Points(STEPS, errors)) == pytest.approx(0.5 / 400)


@pytest.mark.parametrize("name", ["overfitting", "late variance", "still improving", "long tail"])
def test_real_curves(name: str) -> None:
    assert (check(recorded(name))[0].verdict == Verdict.WARN) == (name == "late variance")

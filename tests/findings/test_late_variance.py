"""Late evaluations that scatter by more, or by less, than the values that are compared differ."""

from dataclasses import replace

import numpy as np
import pytest

from tests.findings.curve_studies import (
    STEPS,
    recorded,
)
from tests.findings.labels.late_variance import compared, searched
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.late_variance import check
from tunebook_server.domain.findings.trends import noise


def test_the_two_best_of_many_trials_may_be_closer_than_noise() -> None:
    """Without scientific values, what is compared is the trials: how far the good ones are from the usual."""
    results = searched(0.5, 200)(0.01, 0)
    (finding,) = check(results)
    assert finding.verdict == Verdict.PASS
    assert np.ptp(results.losses[results.ranked[:2]]) < float(finding.evidence["late_noise"] or 0)
    assert finding.evidence["gap"] == pytest.approx(0.5 * (0.5**2 - 0.25**2), rel=0.15)
    assert "best quarter" in finding.sentence


def test_one_scientific_value_has_nothing_to_be_compared_with() -> None:
    results = compared(0.01, 0.05, 0)
    results.columns.values["optimizer"][:] = 0
    (finding,) = check(results)
    assert finding.sentence == "1 more scientific value needed (1 of 2)."


def test_a_value_whose_curve_is_not_at_hand_is_compared_by_its_objective() -> None:
    results = compared(0.003, 0.05, 0)
    best = int(results.columns.ids[results.ranked][0])
    (finding,) = check(replace(results, curves={best: results.curves[best]}))
    assert finding.verdict == Verdict.PASS
    assert finding.trials == 1


@pytest.mark.parametrize("losses", [(-8e307, 8e307), (0.0, 1e300)])
def test_losses_nearly_as_far_apart_as_doubles_can_be_raise_nothing(losses: tuple[float, float]) -> None:
    for results in (searched(0.5, 40)(0.01, 0), compared(0.01, 0.05, 0)):
        far = np.resize(losses, len(results.columns))
        assert check(replace(results, columns=replace(results.columns, objective=far)))


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

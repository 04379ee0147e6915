"""Gradient norms under thresholds that clip seldom, mostly, or not at all."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.findings.labels.gradient_norm import norms, with_clip
from tests.findings.measured_studies import SPACE, Shape, logged
from tests.findings.studies import only
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.gradient_norm import check


def after_clipping(threshold: float) -> Shape:
    def values(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        return np.minimum(norms(0.3)(done, random), threshold)

    return values


def test_norms_logged_after_clipping_lie_at_the_threshold() -> None:
    shape = after_clipping(0.8)
    finding = only(check(logged({"grad/norm": shape}, space=with_clip(0.8), count=2_000)))
    assert finding.verdict == Verdict.WARN
    assert finding.evidence["clipped_share"] == pytest.approx(0.77, abs=0.03)


@pytest.mark.parametrize("threshold", [None, 0.0, True, "norm"])
def test_without_a_threshold_the_90th_percentile_is_proposed(threshold: object) -> None:
    space = SPACE if threshold is None else with_clip(threshold)
    results = logged({"grad/norm": norms(0.3)}, space=space, count=2_000)
    finding = only(check(results))
    assert finding.verdict == Verdict.PASS
    assert finding.evidence["threshold"] == pytest.approx(np.exp(0.3 * 1.2816), rel=0.03)
    assert f"{finding.evidence['threshold']:.3g}" in finding.sentence


def test_the_threshold_is_that_of_the_best_trial() -> None:
    """It is searched over ten decades, and is that of the trial whose norms are looked at."""
    searched = {"name": "max_grad_norm", "type": "float", "low": 1e-5, "high": 1e5, "scale": "log"}
    for better, verdict in ((1.0, Verdict.PASS), (-1.0, Verdict.WARN)):
        results = logged(
            {"grad/norm": norms(0.3)},
            space=[searched],
            rule=lambda configuration, _: float(-better * np.log10(float(configuration["max_grad_norm"]))),  # noqa: B023
        )
        assert only(check(results)).verdict == verdict


def test_infinite_norms_are_clipped_too() -> None:
    def exploding(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        return np.where(random.random(len(done)) < 0.7, np.inf, 0.1)

    finding = only(check(logged({"grad/norm": exploding}, space=with_clip(1.0))))
    assert finding.verdict == Verdict.WARN
    assert finding.evidence["percentile_90"] == pytest.approx(0.1)


def test_few_points_say_how_many_more_are_needed() -> None:
    finding = only(check(logged({"grad/norm": norms(0.3)}, count=15)))
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.sentence == "5 more gradient norms needed (15 of 20)."
    assert "grad/norm" in only(check(logged({"train/loss": norms(0.3)}))).sentence

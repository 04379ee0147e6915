"""Gradient norms under thresholds that clip seldom, mostly, or not at all."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.findings.measured_studies import HOSTILE, SPACE, Shape, hostile, logged
from tests.findings.studies import SEEDS, flipped, only, permuted, verdicts
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.gradient_norm import check

SPREADS = (0.1, 0.3, 1.0)  # of the logarithm of a norm whose median is 1


def norms(spread: float) -> Shape:
    def values(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        return np.asarray(np.exp(spread * random.standard_normal(len(done))))

    return values


def after_clipping(threshold: float) -> Shape:
    def values(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        return np.minimum(norms(0.3)(done, random), threshold)

    return values


def clipped_at(quantile_deviations: float) -> list[Results]:
    """The threshold so many deviations above the median of the logarithm."""
    return [
        logged({"grad/norm": norms(spread)}, seed=seed, space=with_clip(np.exp(spread * quantile_deviations)))
        for spread in SPREADS
        for seed in SEEDS
    ]


def with_clip(threshold: object, name: str = "clip_norm") -> list[dict[str, object]]:
    return [*SPACE, {"name": name, "type": "fixed", "value": threshold}]


def test_a_threshold_that_clips_most_steps_is_noticed() -> None:
    found = [only(check(results)) for results in clipped_at(-0.5)]  # 69 % of the steps
    assert np.mean([finding.verdict == Verdict.WARN for finding in found]) >= 0.95
    assert "lower the learning rate instead" in found[0].sentence


def test_one_that_clips_seldom_is_no_alarm() -> None:
    found = [only(check(results)) for results in clipped_at(1.3)]  # 10 % of the steps
    assert np.mean([finding.verdict != Verdict.PASS for finding in found]) <= 0.05


def test_a_borderline_one_gets_a_verdict_either_way() -> None:
    assert {only(check(results)).verdict for results in clipped_at(0.0)} == {Verdict.PASS, Verdict.WARN}


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


@pytest.mark.parametrize("deviations", [-0.5, 1.3])
def test_what_changes_no_verdict(deviations: float) -> None:
    for results in clipped_at(deviations)[::7]:
        before = verdicts(check(results))
        assert verdicts(check(permuted(results))) == before
        turned = flipped(results)  # the objective alone: a norm has no sign
        other = Results(turned.objective, turned.space, turned.budget, turned.columns, results.curves)
        assert verdicts(check(other)) == before


@pytest.mark.parametrize("values", HOSTILE.values(), ids=HOSTILE)
def test_hostile_curves_raise_no_alarm(values: NDArray[np.float64]) -> None:
    finding = only(check(hostile(["grad/norm"], values)))
    assert finding.verdict in (Verdict.PASS, Verdict.NOT_ENOUGH_DATA)

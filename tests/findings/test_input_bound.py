"""Steps that wait for their data, and steps that do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.findings.measured_studies import HOSTILE, SPACE, Shape, gentle, hostile, logged
from tests.findings.studies import SEEDS, flipped, only, permuted, study, verdicts
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.input_bound import check

SPREADS = (0.0, 0.1, 0.5)


def about(mean: float, spread: float = 0.1) -> Shape:
    """Around `mean`, after a first step that takes far longer."""

    def values(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        found = mean * np.exp(spread * random.standard_normal(len(done)) - spread**2 / 2)
        found[0] *= 100
        return np.asarray(found)

    return values


def stalling(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Nothing most of the time, then a long wait: 30 % on the whole."""
    return np.where(np.arange(len(done)) % 10 == 9, 0.3, 0.0)


def waiting(share: float) -> list[Results]:
    return [
        logged({"data_wait": about(0.1 * share, spread), "step_time": about(0.1, spread)}, seed=seed)
        for spread in SPREADS
        for seed in SEEDS
    ]


def test_waiting_for_data_is_noticed() -> None:
    found = [only(check(results)) for results in waiting(0.35)]
    assert np.mean([finding.verdict == Verdict.WARN for finding in found]) >= 0.95
    assert "prefetch" in found[0].sentence
    rare = logged({"data_wait": stalling, "step_time": about(0.1)})
    assert only(check(rare)).evidence["data_wait_share"] == pytest.approx(0.3, abs=0.05)


def test_a_fast_input_is_no_alarm() -> None:
    found = [only(check(results)) for results in waiting(0.05)]
    assert np.mean([finding.verdict != Verdict.PASS for finding in found]) <= 0.05


def test_a_borderline_one_gets_a_verdict_either_way() -> None:
    assert {only(check(results)).verdict for results in waiting(0.2)} <= {Verdict.PASS, Verdict.WARN}


@pytest.mark.parametrize(
    ("wait", "step"),
    [
        (("data_wait_ms", 35.0), ("time/step_seconds", 0.1)),
        (("time/data_seconds", 0.035), ("step_time_ms", 100.0)),
        (("train/data_time", 35.0), ("train/step_time_ms", 100.0)),
        (("data_wait_percent", 35.0), ("train/loss", 1.0)),
        (("data_wait_share", 0.35), ("train/loss", 1.0)),
    ],
)
def test_units_are_those_of_the_names(wait: tuple[str, float], step: tuple[str, float]) -> None:
    finding = only(check(logged({wait[0]: about(wait[1], 0.0), step[0]: about(step[1], 0.0)})))
    assert finding.verdict == Verdict.WARN
    assert finding.evidence["data_wait_share"] == pytest.approx(0.35)


@pytest.mark.parametrize(("utilisation", "verdict"), [(97.0, Verdict.PASS), (55.0, Verdict.NOT_ENOUGH_DATA)])
def test_a_busy_gpu_does_not_wait(utilisation: float, verdict: Verdict) -> None:
    finding = only(check(logged({"gpu/utilization": about(utilisation, 0.01)})))
    assert finding.verdict == verdict
    assert f"busy {utilisation:.0f}" in finding.sentence


def test_nothing_logged_says_what_to_log() -> None:
    for results in (study(SPACE, gentle), logged({"step_time": about(0.1)})):
        finding = only(check(results))
        assert finding.verdict == Verdict.NOT_ENOUGH_DATA
        assert "data_wait and step_time" in finding.sentence
    short = only(check(logged({"step_time": about(0.1), "data_wait": about(0.1)}, count=3)))
    assert short.verdict == Verdict.NOT_ENOUGH_DATA
    assert "5 points" in short.sentence


@pytest.mark.parametrize("share", [0.05, 0.35])
def test_what_changes_no_verdict(share: float) -> None:
    for results in waiting(share)[::7]:
        before = verdicts(check(results))
        assert verdicts(check(permuted(results))) == before
        turned = flipped(results)  # the objective alone: a time has no sign
        other = Results(turned.objective, turned.space, turned.budget, turned.columns, results.curves)
        assert verdicts(check(other)) == before


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_curves_raise_nothing(name: str) -> None:
    for metrics in (["data_wait", "step_time"], ["data_wait_share"], ["gpu_util"]):
        assert only(check(hostile(metrics, HOSTILE[name]))).verdict in Verdict

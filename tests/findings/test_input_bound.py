"""Steps that wait for their data, and steps that do not."""

import pytest

from tests.findings.labels.input_bound import about
from tests.findings.measured_studies import SPACE, gentle, logged
from tests.findings.studies import only, study
from tunebook_server.domain.findings import Verdict
from tunebook_server.domain.findings.input_bound import check


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

"""What record_stability.py recorded: twelve real trainings, and a sweep of the learning rate."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.findings.studies import only, study, verdicts, with_curves
from tunebook_server.domain.chunk import Points
from tunebook_server.domain.findings import (
    Results,
    Verdict,
    evaluation_spacing,
    gradient_norm,
    instability,
    periodicity,
    training_loss,
)

RECORDED = json.loads((Path(__file__).parent / "recorded" / "stability.json").read_text())
RUNS = RECORDED["runs"]
NAMES = [" ".join(f"{name}={value}" for name, value in run["settings"].items()) for run in RUNS]
NOT_THE_RATE = [{"name": "dropout", "type": "float", "low": 0.0, "high": 0.8}]


def recorded(*runs: dict[str, Any]) -> Results:
    """A study of these trials, the earlier the better."""
    losses = iter(range(len(runs)))
    made = study(NOT_THE_RATE, lambda *_: float(next(losses)), trials=len(runs))
    curves = {
        number: {
            metric: Points(np.array(run["curves"]["step"], dtype=np.int64), np.array(values))
            for metric, values in run["curves"].items()
            if metric != "step"
        }
        for number, run in enumerate(runs)
    }
    return with_curves(made, curves)


@pytest.mark.parametrize("run", RUNS, ids=NAMES)
def test_each_run_is_what_it_looks_like(run: dict[str, Any]) -> None:
    results = recorded(run)
    unstable, rising = only(instability.check(results)), only(training_loss.check(results))
    assert (unstable.verdict == Verdict.WARN) == (run["kind"] == "jumps")
    assert (rising.verdict == Verdict.FAIL) == (run["kind"] == "rises")


def test_real_evaluations_are_regular_and_have_no_period() -> None:
    results = recorded(*RUNS)
    assert verdicts(evaluation_spacing.check(results)) == {"": Verdict.PASS}
    assert verdicts(periodicity.check(results)) == {"": Verdict.PASS}
    assert only(gradient_norm.check(recorded(RUNS[-1]))).evidence["points"] == 76


def test_the_best_rate_of_a_real_sweep_is_at_the_edge_of_stability() -> None:
    sweep = RECORDED["sweep"]
    space = [{"name": "learning_rate", "type": "float", "low": 0.01, "high": 10.0, "scale": "log"}]
    losses = iter([each["valid/loss"] for each in sweep])
    made = study(space, lambda *_: next(losses), trials=len(sweep))
    rates = np.array([each["learning_rate"] for each in sweep])
    swept = replace(made, columns=replace(made.columns, values={"learning_rate": rates}))
    finding = only(instability.check(swept), "learning_rate")
    assert finding.verdict == Verdict.WARN
    assert finding.evidence["best"] == 0.398
    assert finding.evidence["infeasible_above"] == pytest.approx(np.sqrt(0.398 * 0.631))

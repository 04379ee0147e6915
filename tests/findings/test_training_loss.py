"""Training losses that rise over the run, fall, or wander."""

import numpy as np
from numpy.typing import NDArray

from tests.findings.labels.training_loss import rising
from tests.findings.measured_studies import falling, logged
from tests.findings.studies import only
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.training_loss import check


def test_some_bad_trials_are_told_but_do_not_fail_the_study() -> None:
    """Four of twelve rise, none of them among the best."""
    good, bad = logged({"train/loss": falling}), logged({"train/loss": rising})
    ranked = good.columns.ids[good.ranked].tolist()
    curves = {trial: (good if place < 8 else bad).curves[trial] for place, trial in enumerate(ranked)}
    finding = only(check(Results(good.objective, good.space, 12, good.columns, curves)))
    assert finding.verdict == Verdict.PASS
    assert finding.evidence["rising"] == 4
    assert "0 of the best 3" in finding.sentence


def test_infeasible_trials_and_jumps_do_not_count() -> None:
    def diverging(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        return np.where(done < 0.2, falling(done, random), 50.0)

    assert only(check(logged({"train/loss": diverging}))).verdict == Verdict.NOT_ENOUGH_DATA
    infeasible = logged({"train/loss": rising}, rule=lambda *_: None)
    assert only(check(infeasible)).verdict == Verdict.NOT_ENOUGH_DATA


def test_without_a_training_loss_its_counterpart_of_the_objective_counts() -> None:
    assert only(check(logged({"train/accuracy": rising}))).verdict == Verdict.NOT_ENOUGH_DATA
    assert only(check(logged({"valid/loss": rising}))).verdict == Verdict.NOT_ENOUGH_DATA
    counterpart = logged({"train/accuracy": rising})
    accuracy = type(counterpart.objective)("valid/accuracy", "maximize")
    kept = Results(accuracy, counterpart.space, 12, counterpart.columns, counterpart.curves)
    assert only(check(kept)).verdict == Verdict.PASS

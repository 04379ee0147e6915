"""Training losses that rise over the run, fall, or wander."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.findings.measured_studies import CURVE_NOISE, HOSTILE, Shape, falling, hostile, logged, noisy
from tests.findings.studies import SEEDS, flipped, only, permuted, rescaled, verdicts
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.training_loss import check


def rising(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(1.0 + random.uniform(0.3, 1.0) * done ** random.uniform(0.5, 2))


def exploding(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """As a wrong sign in the update makes it: hardly at first, then by ever more."""
    return np.asarray(2.3 + 0.1 * np.expm1(random.uniform(6, 10) * done))


def flat(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return np.full(len(done), 2.3)


def labelled(shape: Shape, *, memory: float = 0.0, count: int = 120) -> list[Results]:
    return [
        logged({"train/loss": noisy(shape, noise, memory=memory)}, seed=seed, count=count)
        for noise in CURVE_NOISE
        for seed in SEEDS
    ]


@pytest.mark.parametrize("shape", [rising, exploding])
@pytest.mark.parametrize("count", [20, 120])
def test_a_rising_training_loss_is_noticed(shape: Shape, count: int) -> None:
    found = [only(check(results)) for results in labelled(shape, count=count)]
    assert np.mean([finding.verdict == Verdict.FAIL for finding in found]) >= 0.95
    assert "probably a bug in the pipeline" in found[0].sentence


@pytest.mark.parametrize("shape", [falling, flat])
@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_one_that_falls_or_wanders_is_no_alarm(shape: Shape, memory: float) -> None:
    found = [only(check(results)) for results in labelled(shape, memory=memory)]
    assert np.mean([finding.verdict != Verdict.PASS for finding in found]) <= 0.05


def test_a_borderline_one_gets_a_verdict_either_way() -> None:
    def barely(done: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        return 1.0 + 0.03 * done

    assert {only(check(results)).verdict for results in labelled(barely)} <= {Verdict.PASS, Verdict.FAIL}


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


@pytest.mark.parametrize("shape", [falling, rising, flat])
def test_what_changes_no_verdict(shape: Shape) -> None:
    for results in labelled(shape)[::7]:
        before = verdicts(check(results))
        assert verdicts(check(permuted(results))) == before
        assert verdicts(check(rescaled(results, 250.0, -3.0))) == before
        assert verdicts(check(flipped(results))) == before


@pytest.mark.parametrize("values", HOSTILE.values(), ids=HOSTILE)
def test_hostile_curves_raise_no_alarm(values: NDArray[np.float64]) -> None:
    finding = only(check(hostile(["train/loss"], values)))
    assert finding.verdict in (Verdict.PASS, Verdict.NOT_ENOUGH_DATA)

"""Labelled studies of one learning rate whose best value lies inside, beyond an edge, or near one."""

import numpy as np
import pytest

from tests.findings.studies import (
    NOISE,
    SEEDS,
    Rule,
    flipped,
    in_other_log_units,
    only,
    permuted,
    rescaled,
    study,
    verdicts,
)
from tunebook_server.domain.changes import Range
from tunebook_server.domain.findings import Results, Verdict
from tunebook_server.domain.findings.boundary import check, share_of_best
from tunebook_server.domain.trial import Configuration

SPACE = [
    {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
    {"name": "dropout", "type": "float", "low": 0.0, "high": 0.8},
]
INSIDE, PAST_EDGE, BEYOND, BORDERLINE = 1e-2, 3.0, 30.0, 0.35


def bowl(best: float, noise: float, unstable_above: float = np.inf) -> Rule:
    def loss(configuration: Configuration, random: np.random.Generator) -> float | None:
        rate = float(configuration["learning_rate"])
        if rate > unstable_above:
            return None
        miss = (np.log10(rate / best) / 4) ** 2 + 0.02 * (float(configuration["dropout"]) - 0.4) ** 2
        return float(miss + noise * random.standard_normal())

    return loss


def labelled(best: float) -> list[Results]:
    return [study(SPACE, bowl(best, noise), seed=seed) for noise in NOISE for seed in SEEDS]


@pytest.mark.parametrize("best", [PAST_EDGE, BEYOND])
def test_a_best_value_beyond_the_edge_is_noticed(best: float) -> None:
    found = [only(check(results), "learning_rate") for results in labelled(best)]
    assert np.mean([finding.verdict == Verdict.WARN for finding in found]) >= 0.95


def test_a_best_value_inside_is_no_alarm() -> None:
    found = [only(check(results), "learning_rate") for results in labelled(INSIDE)]
    assert np.mean([finding.verdict != Verdict.PASS for finding in found]) <= 0.05


def test_a_borderline_one_gets_a_verdict_either_way() -> None:
    assert {only(check(results), "learning_rate").verdict for results in labelled(BORDERLINE)} <= {
        Verdict.PASS,
        Verdict.WARN,
    }


def test_few_trials_say_how_many_more_are_needed() -> None:
    finding = only(check(study(SPACE, bowl(INSIDE, 0.01), trials=7)), "learning_rate")
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.sentence == "3 more feasible trials needed (7 of 10)."


def test_the_range_is_widened_that_way_by_a_decade() -> None:
    finding = only(check(study(SPACE, bowl(BEYOND, 0.01))), "learning_rate")
    assert finding.proposal is not None
    assert finding.proposal.changes == (Range("learning_rate", 1e-4, 10.0),)


def test_a_share_is_widened_towards_one_and_never_beyond() -> None:
    momentum = [{"name": "momentum", "type": "float", "low": 0.5, "high": 0.99}]
    (finding,) = check(study(momentum, lambda configuration, _: -float(configuration["momentum"])))
    assert finding.proposal is not None
    (change,) = finding.proposal.changes
    assert isinstance(change, Range)
    assert change.low == 0.5
    assert change.high == pytest.approx(0.999)
    whole = [{"name": "dropout", "type": "float", "low": 0.0, "high": 1.0}]
    (finding,) = check(study(whole, lambda configuration, _: -float(configuration["dropout"])))
    assert (finding.verdict, finding.proposal) == (Verdict.WARN, None)


def test_nothing_is_widened_into_infeasible_ground() -> None:
    finding = only(check(study(SPACE, bowl(3.0, 0.0, unstable_above=0.6), trials=100)), "learning_rate")
    assert finding.verdict == Verdict.WARN
    assert finding.proposal is None
    assert "stability" in finding.sentence


def test_a_good_region_well_inside_can_be_narrowed_to() -> None:
    finding = only(check(study(SPACE, bowl(INSIDE, 0.0), trials=100)), "learning_rate")
    assert finding.verdict == Verdict.PASS
    assert finding.proposal is not None
    (change,) = finding.proposal.changes
    assert isinstance(change, Range)
    assert 1e-4 < change.low < INSIDE < change.high < 1.0


@pytest.mark.parametrize("best", [INSIDE, BEYOND])
def test_what_changes_no_verdict(best: float) -> None:
    for results in labelled(best)[::7]:
        before = verdicts(check(results))
        assert verdicts(check(permuted(results))) == before
        assert verdicts(check(rescaled(results, 250.0, -3.0))) == before
        assert verdicts(check(flipped(results))) == before
        assert verdicts(check(in_other_log_units(results, "learning_rate", 1_000.0))) == before


@pytest.mark.parametrize("loss", [None, 0.5, 1e300])
def test_hostile_studies_raise_nothing(loss: float | None) -> None:
    for finding in check(study(SPACE, lambda *_: loss)):
        assert finding.verdict in Verdict


def test_the_share_is_that_of_resamples() -> None:
    marked = np.array([False, True, False, False, True, False])
    random = np.random.default_rng(0)
    best = random.integers(0, len(marked), (20_000, len(marked))).min(axis=1)
    assert share_of_best(marked) == pytest.approx(marked[best].mean(), abs=0.01)

"""Labelled studies whose scientific values have their share of the trials, too few, or an uneven one."""

from dataclasses import replace

import numpy as np
import pytest

from tests.findings.labels.per_value import DECAY, OPTIMIZER, RATE, SPACE, Entry, rule
from tests.findings.studies import (
    SEEDS,
    only,
    study,
)
from tunebook_server.domain.changes import Choices, Fix, Range, Trials
from tunebook_server.domain.findings import Finding, Results, Verdict
from tunebook_server.domain.findings.per_value import check
from tunebook_server.domain.findings.values import group

BETA: Entry = {
    "name": "beta",
    "type": "categorical",
    "choices": [0.9, 0.99],
    "role": "scientific",
    "when": {"optimizer": ["adam"]},
}


def counted(results: Results, counts: list[int]) -> Results:
    column = np.repeat(np.arange(len(counts)), counts).astype(float)
    columns = replace(results.columns, values={**results.columns.values, "optimizer": column})
    return replace(results, columns=columns)


def changes(finding: Finding) -> list[object]:
    return [] if finding.proposal is None else list(finding.proposal.changes)


@pytest.mark.parametrize(("counts", "verdict"), [([5, 5, 5], Verdict.PASS), ([6, 5, 4], Verdict.WARN)])
def test_the_border_is_five_a_value(counts: list[int], verdict: Verdict) -> None:
    results = counted(study(SPACE, rule(), trials=sum(counts)), counts)
    assert only(check(results), "optimizer").verdict == verdict


def test_a_running_study_says_how_many_more_are_needed() -> None:
    results = replace(study(SPACE, rule(), trials=13), budget=60)
    finding = only(check(results), "optimizer")
    assert finding.verdict == Verdict.NOT_ENOUGH_DATA
    assert finding.sentence == "2 more feasible trials needed (13 of 15)."
    ended = only(check(replace(results, budget=13)), "optimizer")
    assert ended.verdict == Verdict.WARN
    assert only(check(study(SPACE, rule(), trials=0)), "optimizer").verdict == Verdict.NOT_ENOUGH_DATA


def test_short_choices_are_topped_up() -> None:
    few = only(check(counted(study(SPACE, rule(), trials=22), [10, 8, 4])), "optimizer")
    assert changes(few) == [Fix("optimizer", "<i>lamb</i>"), Trials(1)]
    uneven = only(check(counted(study(SPACE, rule(), trials=70), [40, 20, 10])), "optimizer")
    assert changes(uneven) == [Choices("optimizer", ("nesterov", "<i>lamb</i>")), Trials(60)]
    all_short = only(check(counted(study(SPACE, rule(), trials=9), [3, 3, 3])), "optimizer")
    assert changes(all_short) == [Trials(6)]


def test_a_top_up_closes_the_gap() -> None:
    """The study of the proposal, put with the first one, passes."""
    first = counted(study(SPACE, rule(), trials=70), [40, 20, 10])
    _, more = changes(only(check(first), "optimizer"))
    assert isinstance(more, Trials)
    half = more.trials // 2
    both = counted(study(SPACE, rule(), trials=70 + more.trials), [40, 20 + half, 10 + half])
    assert only(check(both), "optimizer").verdict == Verdict.PASS


def test_infeasible_trials_were_given_their_share_and_compare_nothing() -> None:
    finding = only(check(study(SPACE, rule(ill="adam"), trials=60)), "optimizer")
    assert finding.verdict == Verdict.WARN
    assert "adam (0)" in finding.sentence
    assert "uneven" not in finding.sentence
    assert finding.proposal is None, "twenty infeasible trials of a value ask for no more of them"


def test_a_part_of_a_range_is_topped_up() -> None:
    results = study([DECAY, RATE], rule(), trials=60)
    column = results.columns.values["weight_decay"]
    low = column < 1e-4 ** (1 - 0.2)  # the lowest bucket
    states = np.where(low, 0, results.columns.states).astype(np.int8)
    finding = only(check(replace(results, columns=replace(results.columns, states=states))), "weight_decay")
    assert finding.verdict == Verdict.WARN
    narrowed, more = changes(finding)
    assert isinstance(narrowed, Range)
    assert (narrowed.low, narrowed.high) == pytest.approx((1e-4, 1e-4**0.8))
    assert isinstance(more, Trials)
    assert more.trials >= 5


def test_values_of_a_grid_are_counted_each() -> None:
    results = study([DECAY, RATE], rule(), trials=60)
    column = np.tile([1e-4, 1e-3, 1e-2], 20)
    columns = replace(results.columns, values={**results.columns.values, "weight_decay": column})
    finding = only(check(replace(results, columns=columns)), "weight_decay")
    assert (finding.verdict, finding.evidence["values"]) == (Verdict.PASS, 3)
    assert finding.evidence["feasible_by_value"] == "0.0001 20, 0.001 20, 0.01 20"


def test_a_range_of_which_one_value_was_tried_compares_nothing() -> None:
    results = study([DECAY, RATE], rule(), trials=60)
    columns = replace(results.columns, values={**results.columns.values, "weight_decay": np.full(60, 1e-3)})
    finding = only(check(replace(results, columns=columns)), "weight_decay")
    assert (finding.verdict, finding.evidence["fewest_feasible"]) == (Verdict.WARN, 0)


@pytest.mark.parametrize("high", [8, 12, 40, 10**12])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_buckets_of_whole_numbers_are_filled_by_their_share(high: int, scale: str) -> None:
    layers: Entry = {"name": "layers", "type": "integer", "low": 1, "high": high, "scale": scale}
    space: list[Entry] = [{**layers, "role": "scientific"}, RATE]
    results = study(space, rule(), trials=2_000)
    found = group(results.space.varied[0], results.columns.values["layers"], results.feasible)
    shares = np.array([each.share for each in found.groups])
    assert shares.sum() == pytest.approx(1)
    assert found.counts(results.feasible) == pytest.approx(2_000 * shares, abs=25)
    assert len(found.groups) <= 10
    first, last = found.groups[0], found.groups[-1]
    assert (first.low, last.high) == (1, high)


def test_shares_of_a_logarithmic_range_are_not_uneven() -> None:
    layers: Entry = {"name": "layers", "type": "integer", "low": 1, "high": 6, "scale": "log"}
    finding = only(check(study([{**layers, "role": "scientific"}, RATE], rule(), trials=200)), "layers")
    assert int(finding.evidence["most_drawn"] or 0) > 4 * int(finding.evidence["fewest_drawn"] or 0)
    assert finding.verdict == Verdict.PASS


def test_what_is_proposed_can_be_searched() -> None:
    """A bucket of a single whole number is held; a range has two ends."""
    layers: Entry = {"name": "layers", "type": "integer", "low": 1, "high": 12, "scale": "log"}
    for seed in SEEDS:
        results = study([{**layers, "role": "scientific"}, RATE], rule(), trials=25, seed=seed)
        for change in changes(only(check(results), "layers")):
            assert not isinstance(change, Range) or 1 <= change.low < change.high <= 12
            assert not isinstance(change, Fix) or change.value in range(1, 13)


def test_a_conditional_one_counts_where_it_is_active() -> None:
    space = [OPTIMIZER, BETA, RATE]
    key = "optimizer=adam/beta"
    few = only(check(study(space, rule(), trials=18)), key)
    assert few.verdict == Verdict.WARN
    assert few.trials == 6
    lacking = 5 - int(few.evidence["fewest_feasible"] or 0)
    assert changes(few) == [Trials(lacking * 2 * 3)], "of two values, where a third of the trials has them"
    assert only(check(study(space, rule(), trials=60)), key).verdict == Verdict.PASS


def test_without_a_scientific_hyperparameter_nothing_is_said() -> None:
    assert check(study([RATE], rule())) == []


def test_a_study_may_ask_for_fewer_trials() -> None:
    for trials in range(6):
        results = replace(study(SPACE, rule(), trials=trials), thresholds={"per_value.trials": 0})
        for finding in check(results):
            assert finding.verdict in Verdict
            assert trials > 0 or finding.verdict == Verdict.NOT_ENOUGH_DATA

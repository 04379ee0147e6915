"""What is kept of checkpoints, whatever they are: properties of the judge."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.retention import ALL, DEFAULT, Retention, is_managed, judge, next_to_go, parse
from tunebook_server.domain.trial import Checkpoint

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OBJECTIVES = st.sampled_from([Objective("m"), Objective("m", "maximize")])
METRICS = st.none() | st.floats() | st.sampled_from([1.0, 2.0])


def checkpoint(epoch: int, step: int, metric: float | None = None, uri: str = "") -> Checkpoint:
    place = uri or f"/data/checkpoints/7/{epoch}/step-{step}"
    return Checkpoint(1000 * epoch + step, 7, epoch, step, place, metric, NOW)


@st.composite
def trials(draw: st.DrawFn) -> list[Checkpoint]:
    places = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 20)), unique=True, max_size=12))
    uris = st.sampled_from(["", "", "", "/elsewhere/{}", "/data/checkpoints/7/1/deep/{}"])
    return [checkpoint(*place, draw(METRICS), draw(uris).format(place[1])) for place in places]


POLICIES = st.builds(
    Retention, st.integers(0, 4), st.integers(0, 4), st.none() | st.integers(0, 3)
) | st.just(ALL)


def age(each: Checkpoint) -> tuple[int, int]:
    return each.epoch, each.step


@given(trials(), POLICIES, OBJECTIVES, st.booleans(), st.booleans(), st.data())
def test_the_judge(
    live: list[Checkpoint],
    policy: Retention,
    objective: Objective,
    ended: bool,
    among_best: bool,
    data: st.DataObject,
) -> None:
    resumed_from = data.draw(st.none() | st.sampled_from([age(each) for each in live] or [(9, 9)]))
    verdicts = judge(live, policy, objective, ended=ended, resumed_from=resumed_from, among_best=among_best)
    kept = {age(v.checkpoint) for v in verdicts if v.keep}
    gone = [v.checkpoint for v in verdicts if not v.keep]
    assert sorted(map(age, live)) == [age(v.checkpoint) for v in verdicts], "each once, the oldest first"
    assert all(v.reason for v in verdicts)
    assert all(is_managed(each) for each in gone), "what lies elsewhere is the user's"
    if policy.keeps_all:
        assert not gone
        return
    assert policy.keep_best is not None
    assert policy.keep_last is not None
    if not ended and live:
        assert max(map(age, live)) in kept, "the last one of a trial that goes on"
        assert resumed_from is None or resumed_from not in map(age, gone), "one that is in use"
    if not ended or among_best:
        last = sorted(map(age, live))[len(live) - min(policy.keep_last, len(live)) :]
        assert kept.issuperset(last)
        finite = [each for each in live if each.metric is not None and math.isfinite(each.metric)]
        losses = sorted(objective.sign * float(each.metric or 0) for each in finite)
        for each in gone:
            better = losses[: policy.keep_best]
            loss = None if each not in finite else objective.sign * float(each.metric or 0)
            assert loss is None or len(better) == policy.keep_best
            assert loss is None or not better or loss >= better[-1], "none of the best"
    reasons = {v.reason for v in verdicts if v.keep and is_managed(v.checkpoint)}
    plain = {reason for reason in reasons if "holds" not in reason}
    assert len([v for v in verdicts if v.reason in plain and v.keep]) <= (
        policy.keep_best + max(policy.keep_last, 0 if ended else 1) + 1
    ), "never more than the policy says"
    left = [each for each in live if age(each) in kept]
    again = judge(left, policy, objective, ended=ended, resumed_from=resumed_from, among_best=among_best)
    assert all(v.keep for v in again), "what was judged once is judged the same again"


@given(trials(), POLICIES, OBJECTIVES)
def test_what_goes_next_goes_when_another_is_registered(
    live: list[Checkpoint], policy: Retention, objective: Objective
) -> None:
    kept = [v.checkpoint for v in judge(live, policy, objective) if v.keep]
    going = next_to_go(kept, policy, objective)
    assert going <= {each.id for each in kept}
    if kept:
        newest = max(kept, key=age)
        coming = replace(newest, id=0, step=newest.step + 1, metric=None, uri=f"{newest.uri}.next")
        after = judge([*kept, coming], policy, objective)
        assert {v.checkpoint.id for v in after if not v.keep} == going


def test_the_best_and_the_last_are_kept_by_default() -> None:
    live = [checkpoint(1, step, metric) for step, metric in enumerate([3.0, 1.0, math.nan, 2.0])]
    verdicts = judge(live, DEFAULT, Objective("m"))
    assert [(v.checkpoint.step, v.keep, v.reason) for v in verdicts] == [
        (0, False, "not among the best 1 and the last 1"),
        (1, True, "best"),
        (2, False, "not among the best 1 and the last 1"),
        (3, True, "last"),
    ]
    assert next_to_go([live[1], live[3]], DEFAULT, Objective("m")) == {live[3].id}
    outranked = judge(live, Retention(1, 1, 5), Objective("m"), ended=True, among_best=False)
    assert {v.reason for v in outranked} == {"its trial is not among the best 5 trials of the study"}


def test_of_equal_ones_the_newest_is_the_best() -> None:
    live = [checkpoint(1, step, 1.0) for step in range(3)]
    verdicts = judge(live, Retention(1, 0), Objective("m"), ended=True)
    assert [v.checkpoint.step for v in verdicts if v.keep] == [2]


def test_a_folder_that_holds_one_that_is_kept_stays() -> None:
    outer = checkpoint(1, 0, 9.0, "/data/checkpoints/7/1/a")
    inner = checkpoint(1, 1, 1.0, "/data/checkpoints/7/1/a/b")
    first, second = judge([outer, inner], DEFAULT, Objective("m"))
    assert (first.keep, first.reason) == (True, "its folder holds the checkpoint of step 1")
    assert second.reason == "best and last"


@pytest.mark.parametrize(
    "uri",
    ["/data/7/1", "/data/7/1/", "/7/1/a", "/data/7/2/a", "/data/7/1/../../x", "relative", "s3://b/7/1"],
)
def test_what_is_not_in_the_attempts_own_folder_is_not_managed(uri: str) -> None:
    assert not is_managed(checkpoint(1, 0, uri=uri))
    assert is_managed(checkpoint(1, 0, uri="s3://bucket/7/1/0-a"))


@given(POLICIES)
def test_a_policy_is_its_document(policy: Retention) -> None:
    assert parse(policy.document()) == policy
    assert parse(policy.whole_document()) == policy
    assert policy.words()


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"keep_best": -1}, "checkpoints.keep_best"),
        ({"keep_last": 1001}, "checkpoints.keep_last"),
        ({"keep_trials": "many"}, "checkpoints.keep_trials"),
        ({"keep": "some"}, "checkpoints.keep"),
        ({"keep": "all", "keep_best": 1}, "checkpoints.keep_best"),
        ({"keeep": "all"}, "checkpoints"),
        ("all", "checkpoints"),
        ([], "checkpoints"),
        (None, "checkpoints"),
    ],
)
def test_a_wrong_policy_is_named(document: object, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(document)
    assert refused.value.field == field
    assert refused.value.remedy or refused.value.faults[0].problem

"""What may follow what in a trial's life."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunebook_server.domain import lifecycle
from tunebook_server.domain.errors import Fenced, Invalid
from tunebook_server.domain.lifecycle import FINISHABLE, Outcome, Verdict
from tunebook_server.domain.trial import ENDED, HELD, Trial, TrialState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def trial(state: str = "running", epoch: int = 1, **fields: object) -> Trial:
    known = {"id": 1, "study_id": 1, "number": 0, "parameters": {}, "seed": 0, "space_version": 1}
    return Trial(**{**known, "state": TrialState(state), "epoch": epoch, "created_at": NOW, **fields})  # type: ignore[arg-type]


@given(state=st.sampled_from(TrialState), epoch=st.integers(0, 5), asked=st.integers(-1, 6))
def test_only_the_epoch_that_holds_a_trial_passes_the_fence(
    state: TrialState, epoch: int, asked: int
) -> None:
    if state in HELD and epoch == asked:
        lifecycle.fence(trial(state, epoch), asked)
    else:
        with pytest.raises(Fenced):
            lifecycle.fence(trial(state, epoch), asked)


@given(
    outcome=st.sampled_from(Outcome),
    attempts=st.integers(1, 5),
    most=st.integers(1, 5),
    cancelled=st.booleans(),
    final=st.booleans(),
    fates=st.lists(
        st.builds(
            lifecycle.Fate,
            st.sampled_from(Outcome),
            st.none() | st.integers(-64, 255),
            st.sampled_from(["", "a"]),
        )
    ),
)
def test_endings(
    outcome: Outcome, attempts: int, most: int, cancelled: bool, final: bool, fates: list[lifecycle.Fate]
) -> None:
    held = trial(attempts=attempts, cancel_requested_at=NOW if cancelled else None)
    ending = lifecycle.end(held, outcome, "why", max_attempts=most, fates=fates, final=final)
    assert ending.outcome is outcome
    assert ending.charged == (outcome not in (Outcome.RELEASED, Outcome.PREEMPTED, Outcome.PAUSED))
    if ending.state is TrialState.QUEUED:
        assert not cancelled
        assert not ending.charged or (attempts < most and not final)
    else:
        assert ending.state in ENDED
    if ending.poisoned:
        assert ending.state is TrialState.FAILED
        assert all(fate.took_down for fate in fates)
        assert ending.reason.endswith("; the last: why" if len(fates) > 1 else "why")
    if outcome.value in list(ENDED) and outcome is not Outcome.FAILED:
        assert ending.state.value == outcome.value


@pytest.mark.parametrize(
    ("objective", "points", "wanted"),
    [
        (0.5, 1, Verdict(Outcome.COMPLETED, "")),
        (None, 3, Verdict(Outcome.INFEASIBLE, "diverged: loss was not finite")),
        (None, 0, Verdict(Outcome.FAILED, "ended without a value of loss", "loss")),
    ],
)
def test_a_completed_attempt_needs_a_value(objective: float | None, points: int, wanted: Verdict) -> None:
    done = trial(objective=objective, objective_points=points)
    assert lifecycle.judge(Outcome.COMPLETED, "", metric="loss", trial=done) == wanted
    assert lifecycle.judge(Outcome.STOPPED, "x", metric="loss", trial=done) == Verdict(Outcome.STOPPED, "x")


@pytest.mark.parametrize(
    ("reported", "said"),
    [
        ([], "nothing"),
        (["lr", "val/loss"], "val/loss, lr"),
        (["a", "b", "c", "d", "valid_loss", "e"], "valid_loss, a, b, c, d, …"),
        (["x" * 200], "x" * 39 + "…"),
    ],
)
def test_what_came_instead_of_a_value_is_said_shortly(reported: list[str], said: str) -> None:
    verdict = Verdict(Outcome.FAILED, "ended without a value of valid/loss", "valid/loss").beside(reported)
    assert verdict.reason == f"ended without a value of valid/loss (it reported {said})"


@pytest.mark.parametrize("word", ["lost", "released", "queued", "", "COMPLETED", "x" * 1000])
def test_a_job_cannot_report_any_other_ending(word: str) -> None:
    with pytest.raises(Invalid):
        lifecycle.finishable(word)


def test_a_finish_is_known_by_all_it_says() -> None:
    said = [
        (1, "failed", "", None),
        (2, "failed", "", None),
        (1, "stopped", "", None),
        (1, "failed", "x", None),
    ]
    hashes = {lifecycle.finish_hash(*each) for each in [*said, (1, "failed", "", 0), (1, "failed", "", 1)]}
    assert len(hashes) == 6
    assert [lifecycle.finishable(word) for word in FINISHABLE] == list(FINISHABLE)


def test_seeds_fit_in_31_bits_and_differ() -> None:
    seeds = {lifecycle.trial_seed(study, number) for study in range(30) for number in range(1000)}
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert len(seeds) > 29_990  # of 30,000 draws out of 2^31 some 0.2 pairs meet
    assert lifecycle.trial_seed(0, 0) == lifecycle.trial_seed(0, 0)

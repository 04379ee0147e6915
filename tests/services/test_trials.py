"""The life of a trial by examples; `test_lifecycle_machine.py` looks for the paths nobody thought of."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from tests.services.making import ACTOR, SPACE, make_study, make_worker
from tunebook_server.domain.errors import (
    Conflict,
    Fenced,
    Gone,
    Invalid,
    Mismatch,
    NotFound,
    TunebookError,
)
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Configuration, TrialState
from tunebook_server.services import checkpoints, leases, metrics, sampling, studies, trials
from tunebook_server.storage.engine import transaction


def report(engine: Engine, claim: Claim, *values: float, sequence: int = 0) -> None:
    """Values of the objective at steps 1, 2, …"""
    steps = np.arange(1, len(values) + 1)
    series = {"valid/error": (steps, np.array(values, dtype=np.float64))}
    metrics.report(engine, **_of(claim), sequence=sequence, series=series, content_hash=repr(values).encode())


def claim_next(engine: Engine, study: Study) -> Claim:
    """A worker takes the first queued trial."""
    sampling.fill(engine, study_id=study.id)
    queued = trials.page(engine, study_id=study.id, states=["queued"], sort="number", limit=1)
    return trials.claim(engine, trial_id=queued.items[0].trial.id, worker_id=make_worker(engine), host="gpu1")


def lose(engine: Engine) -> None:
    """Every lease runs out, and a sweep comes by."""
    with transaction(engine) as connection:
        past = (
            "UPDATE trials SET lease_expires_at = now() - interval '1 s' WHERE lease_expires_at IS NOT NULL"
        )
        connection.execute(text(past))
    leases.sweep(engine)


def _of(claim: Claim) -> dict[str, Any]:
    return {"trial_id": claim.trial.id, "epoch": claim.trial.epoch}


def test_a_claim_brings_all_that_training_needs(engine: Engine) -> None:
    study = make_study(engine)
    claim = claim_next(engine, study)
    assert (claim.trial.state, claim.trial.epoch, claim.trial.attempts) == ("claimed", 1, 1)
    assert claim.template is not None
    assert claim.template.argv == ("python", "train.py")
    assert (claim.study_name, claim.objective, claim.resume) == ("study", study.objective, None)
    assert claim.token.startswith("tbk_trl_")
    assert (claim.lease_seconds, claim.beat_seconds, claim.fence_seconds) == (90, 15, 75)
    (attempt,) = trials.attempts(engine, trial_id=claim.trial.id)
    assert (attempt.epoch, attempt.host, attempt.outcome) == (1, "gpu1", None)


def test_completed_with_its_best_value(engine: Engine) -> None:
    study = make_study(engine)
    claim = claim_next(engine, study)
    trials.start(engine, **_of(claim), environment={"python": "3.11"}, host="gpu1")
    report(engine, claim, 0.5, 0.25, 0.75)
    assert studies.get(engine, study_id=study.id).best_trial_id == claim.trial.id
    trial = trials.finish(engine, **_of(claim), state="completed", exit_status=0)
    assert (trial.state, trial.objective, trial.best_step) == ("completed", 0.25, 2)
    assert trial.finished_at is not None
    assert trial.lease_expires_at is None
    progress = studies.progress(engine, study_id=study.id)
    assert progress.counts["completed"] == 1
    assert progress.best == trial
    (attempt,) = trials.attempts(engine, trial_id=trial.id)
    assert (attempt.outcome, attempt.exit_status, attempt.environment) == ("completed", 0, {"python": "3.11"})


def test_only_nan_is_a_divergence(engine: Engine) -> None:
    study = make_study(engine)
    claim = claim_next(engine, study)
    report(engine, claim, float("nan"), float("inf"))
    trial = trials.finish(engine, **_of(claim), state="completed")
    assert (trial.state, trial.reason) == ("infeasible", "diverged: valid/error was not finite")
    assert studies.get(engine, study_id=study.id).best_trial_id is None


def test_completed_without_a_value_fails_at_once_and_says_what_came_instead(engine: Engine) -> None:
    study = make_study(engine, max_attempts=3)
    claim = claim_next(engine, study)
    series = {name: (np.array([1]), np.array([0.5])) for name in ("lr", "val/error", "system/cpu_percent")}
    metrics.report(engine, **_of(claim), sequence=0, series=series, content_hash=b"1")
    trial = trials.finish(engine, **_of(claim), state="completed", exit_status=0)
    reason = "ended without a value of valid/error (it reported val/error, lr)"
    assert (trial.state, trial.reason, trial.attempts, trial.poisoned) == ("failed", reason, 1, False)
    assert [(each.outcome, each.reason) for each in trials.attempts(engine, trial_id=trial.id)] == [
        ("failed", reason)
    ]


def test_a_retry_by_hand_follows_a_failure_that_is_the_same_each_time(engine: Engine) -> None:
    study = make_study(engine, max_attempts=3)
    claim = claim_next(engine, study)
    silent = trials.finish(engine, **_of(claim), state="completed")
    said = "ended without a value of valid/error (it reported nothing)"
    assert (silent.state, silent.reason) == ("failed", said)
    assert trials.retry(engine, trial_id=claim.trial.id, actor=ACTOR).state == "queued"
    again = claim_next(engine, study)
    report(engine, again, 0.5)
    assert trials.finish(engine, **_of(again), state="completed").state == "completed"


def test_a_value_that_was_lost_on_its_way_may_come_with_another_attempt(engine: Engine) -> None:
    claim = claim_next(engine, make_study(engine, max_attempts=2))
    assert trials.finish(engine, **_of(claim), state="completed", dropped_points=1).state == "queued"


def test_failures_are_tried_again_then_stay(engine: Engine) -> None:
    study = make_study(engine, max_attempts=3)
    for attempt in (1, 2, 3):
        claim = claim_next(engine, study)
        assert (claim.trial.number, claim.trial.epoch) == (0, attempt)
        trial = trials.finish(engine, **_of(claim), state="failed", reason="out of memory", exit_status=1)
        assert trial.state == ("queued" if attempt < 3 else "failed")
    assert (trial.reason, trial.poisoned) == ("out of memory", False)


def test_killing_its_worker_each_time_is_poison(engine: Engine) -> None:
    study = make_study(engine, max_attempts=2)
    for _ in range(2):
        claim = claim_next(engine, study)
        lose(engine)
    trial = trials.get(engine, trial_id=claim.trial.id)
    assert (trial.state, trial.poisoned) == ("failed", True)
    assert trial.reason.startswith(
        "poisoned: each of 2 attempts crashed, or was killed or lost with its worker"
    )
    assert [each.outcome for each in trials.attempts(engine, trial_id=trial.id)] == ["lost", "lost"]


def test_a_failed_trial_is_no_longer_the_best(engine: Engine) -> None:
    study = make_study(engine, max_attempts=1)
    first, second = claim_next(engine, study), claim_next(engine, study)
    report(engine, first, 0.1)
    report(engine, second, 0.2)
    assert studies.get(engine, study_id=study.id).best_trial_id == first.trial.id
    trials.finish(engine, **_of(first), state="failed")
    assert studies.get(engine, study_id=study.id).best_trial_id == second.trial.id


def test_a_finish_sent_twice_is_one_finish(engine: Engine) -> None:
    study = make_study(engine, max_attempts=2)
    claim = claim_next(engine, study)
    first = trials.finish(engine, **_of(claim), state="failed", reason="x")
    assert trials.finish(engine, **_of(claim), state="failed", reason="x") == first
    with pytest.raises(Mismatch):
        trials.finish(engine, **_of(claim), state="completed")
    again = claim_next(engine, study)
    assert trials.finish(engine, **_of(claim), state="failed", reason="x") == again.trial
    with pytest.raises(Fenced):
        trials.heartbeat(engine, **_of(claim))
    assert len(trials.attempts(engine, trial_id=claim.trial.id)) == 2


def test_a_release_costs_no_attempt(engine: Engine) -> None:
    study = make_study(engine, max_attempts=1)
    for _ in range(3):
        claim = claim_next(engine, study)
        released = trials.release(engine, **_of(claim), reason="the worker drains")
        assert (released.state, released.attempts) == ("queued", 0)
        assert trials.release(engine, **_of(claim), reason="the worker drains").state == "queued"
    assert [each.charged for each in trials.attempts(engine, trial_id=claim.trial.id)] == [False] * 3
    claim = claim_next(engine, study)
    assert trials.finish(engine, **_of(claim), state="failed").state == "failed"


def test_a_preemption_costs_no_attempt_and_is_told_apart(engine: Engine) -> None:
    study = make_study(engine, max_attempts=1)
    claim = claim_next(engine, study)
    assert trials.release(engine, **_of(claim), reason="node failure", preempted=True).state == "queued"
    (attempt,) = trials.attempts(engine, trial_id=claim.trial.id)
    assert (attempt.outcome, attempt.charged, attempt.reason) == ("preempted", False, "node failure")


def test_cancel_stops_a_queued_trial_at_once(engine: Engine) -> None:
    study = make_study(engine)
    trial = trials.enqueue(engine, study_id=study.id, actor=ACTOR)
    assert trials.cancel(engine, trial_id=trial.id, actor=ACTOR).state == "stopped"
    with pytest.raises(Conflict):
        trials.cancel(engine, trial_id=trial.id, actor=ACTOR)


@pytest.mark.parametrize("ending", ["finish stopped", "finish failed", "release", "lose"])
def test_a_cancelled_trial_never_runs_again(engine: Engine, ending: str) -> None:
    study = make_study(engine)
    claim = claim_next(engine, study)
    trials.heartbeat(engine, **_of(claim))
    trials.cancel(engine, trial_id=claim.trial.id, actor=ACTOR)
    with pytest.raises(Gone):
        trials.heartbeat(engine, **_of(claim))
    report(engine, claim, 0.5)
    if ending == "lose":
        lose(engine)
    elif ending == "release":
        trials.release(engine, **_of(claim))
    else:
        trials.finish(engine, **_of(claim), state=ending.split()[1])
    trial = trials.get(engine, trial_id=claim.trial.id)
    assert (trial.state, trial.objective) == ("stopped", 0.5)


def test_a_retry_gives_one_more_attempt_and_wakes_the_study(engine: Engine) -> None:
    study = make_study(engine, budget=1, max_attempts=1)
    claim = claim_next(engine, study)
    trials.finish(engine, **_of(claim), state="failed")
    sampling.fill(engine, study_id=study.id)
    assert studies.get(engine, study_id=study.id).state == "finished"
    assert trials.retry(engine, trial_id=claim.trial.id, actor=ACTOR).state == "queued"
    assert studies.get(engine, study_id=study.id).state == "running"
    again = claim_next(engine, study)
    assert again.trial.epoch == 2
    assert trials.finish(engine, **_of(again), state="failed").state == "failed"
    running = claim_next(engine, make_study(engine))
    with pytest.raises(Conflict):
        trials.retry(engine, trial_id=running.trial.id, actor=ACTOR)


def test_resume_takes_up_the_last_registered_checkpoint(engine: Engine) -> None:
    study = make_study(engine)
    claim = claim_next(engine, study)
    report(engine, claim, 0.5, 0.25, 0.125)
    checkpoints.register(engine, **_of(claim), step=1, uri="/checkpoints/1/1/a")
    checkpoints.register(engine, **_of(claim), step=2, uri="/checkpoints/1/1/b")
    lose(engine)
    again = claim_next(engine, study)
    assert again.resume is not None
    assert (again.resume.step, again.resume.uri, again.resume.epoch) == (2, "/checkpoints/1/1/b", 1)
    assert (again.trial.objective, again.trial.best_step) == (0.25, 2)
    assert trials.attempts(engine, trial_id=claim.trial.id)[1].resumed_from_step == 2


def test_late_writes_are_refused_and_counted(engine: Engine) -> None:
    study = make_study(engine)
    claim = claim_next(engine, study)
    lose(engine)
    with pytest.raises(Fenced):
        report(engine, claim, 0.5, 0.25)
    claim_next(engine, study)
    for write in (
        lambda: report(engine, claim, 0.5),
        lambda: trials.start(engine, **_of(claim)),
        lambda: trials.heartbeat(engine, **_of(claim)),
        lambda: trials.finish(engine, **_of(claim), state="completed"),
        lambda: trials.release(engine, **_of(claim)),
        lambda: checkpoints.register(engine, **_of(claim), step=1, uri="/a/b"),
    ):
        with pytest.raises(Fenced):
            write()
    assert [each.dropped_points for each in trials.attempts(engine, trial_id=claim.trial.id)] == [3, 0]


def test_start_is_idempotent(engine: Engine) -> None:
    claim = claim_next(engine, make_study(engine))
    first = trials.start(engine, **_of(claim))
    assert first.state == "running"
    assert trials.start(engine, **_of(claim)) == first


def test_running_without_a_lease_cannot_be_stored(engine: Engine) -> None:
    claim = claim_next(engine, make_study(engine))
    with transaction(engine) as connection, pytest.raises(Exception, match="leased_while_held"):
        connection.execute(
            text("UPDATE trials SET lease_expires_at = NULL WHERE id = :id"), {"id": claim.trial.id}
        )


# Asking in a loop of one's own ---------------------------------------------------------------------


def test_ask_gives_running_trials_up_to_the_budget(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=3)
    asked = [trials.ask(engine, study_id=study.id, client_id=name, actor=ACTOR) for name in "abcd"]
    assert [[claim.trial.number for claim in claims] for claims in asked] == [[0], [1], [2], []]
    claim = asked[0][0]
    assert (claim.trial.state, claim.trial.epoch, claim.template) == ("running", 1, None)
    assert trials.attempts(engine, trial_id=claim.trial.id)[0].started_at is not None


def test_a_restarted_client_gets_its_own_trials_back(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    first = trials.ask(engine, study_id=study.id, client_id="loop", count=2, actor=ACTOR)
    again = trials.ask(engine, study_id=study.id, client_id="loop", count=3, actor=ACTOR)
    assert [claim.trial for claim in again[:2]] == [claim.trial for claim in first]
    assert again[2].trial.number == 2
    assert {claim.token for claim in first}.isdisjoint(claim.token for claim in again)
    checkpoints.register(engine, **_of(first[0]), step=7, uri="/c/1/1/a")
    (once_more,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    assert once_more.resume is not None
    assert once_more.resume.step == 7
    trials.finish(engine, **_of(first[0]), state="stopped")
    third = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    assert third[0].trial.number == 3


def test_ask_takes_queued_trials_first(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    mine: Configuration = {"optimizer": "adam", "learning_rate": 0.5, "batch_size": 64}
    trials.enqueue(engine, study_id=study.id, parameters=mine, actor=ACTOR)
    first, second = trials.ask(engine, study_id=study.id, client_id="loop", count=2, actor=ACTOR)
    assert (first.trial.parameters, first.trial.sample_index) == (mine, None)
    assert second.trial.sample_index == 0


def test_a_paused_study_gives_nothing_new(engine: Engine) -> None:
    study = make_study(engine)
    claim = claim_next(engine, study)
    pause = {"state": "paused"}
    studies.edit(engine, study_id=study.id, revision=None, changes=pause, actor=ACTOR)
    assert sampling.fill(engine, study_id=study.id) == []
    with pytest.raises(Conflict, match="paused"):
        claim_next(engine, study)
    with pytest.raises(Conflict, match="paused"):
        trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    report(engine, claim, 0.5)
    assert trials.finish(engine, **_of(claim), state="completed").state == "completed"


def test_enqueue_checks_the_configuration_and_the_budget(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=1)
    wrong: Configuration = {"optimizer": "adam", "learning_rate": 5.0, "batch_size": 64}
    with pytest.raises(Invalid, match="learning_rate"):
        trials.enqueue(engine, study_id=study.id, parameters=wrong, actor=ACTOR)
    first = trials.enqueue(engine, study_id=study.id, actor=ACTOR)
    assert first.parameters == SPACE.check(first.parameters)
    for parameters in (None, first.parameters):
        with pytest.raises(Conflict, match="budget"):
            trials.enqueue(engine, study_id=study.id, parameters=parameters, actor=ACTOR)


# What comes from outside is refused in words ---------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "running"},
        {"state": ""},
        {"state": "x" * 10_000},
        {"state": "completed", "exit_status": 2**31},
        {"state": "completed", "exit_status": True},
        {"state": "completed", "dropped_points": -1},
    ],
)
def test_a_wrong_finish_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    claim = claim_next(engine, make_study(engine))
    with pytest.raises(Invalid):
        trials.finish(engine, **_of(claim), **wrong)
    assert trials.get(engine, trial_id=claim.trial.id).state is TrialState.CLAIMED


def test_a_reason_is_cleaned_not_refused(engine: Engine) -> None:
    claim = claim_next(engine, make_study(engine, max_attempts=1))
    reason = "\x1b[31mTraceback\x00\ud800" + "…" * 20_000
    trial = trials.finish(engine, **_of(claim), state="failed", reason=reason)
    assert trial.reason.startswith("\N{REPLACEMENT CHARACTER}[31mTraceback\N{REPLACEMENT CHARACTER}")
    assert len(trial.reason) == 10_000


@pytest.mark.parametrize(
    "environment",
    [{"a": float("nan")}, {"a": "\x00"}, {"a": "\ud800"}, {"a": {1, 2}}, {"a": "x" * 200_000}, [1]],
)
def test_an_environment_that_no_column_takes_is_refused(engine: Engine, environment: Any) -> None:
    claim = claim_next(engine, make_study(engine))
    with pytest.raises(Invalid):
        trials.start(engine, **_of(claim), environment=environment)


def test_unknown_trials_and_studies(engine: Engine) -> None:
    worker_id = make_worker(engine)
    calls: list[Any] = [
        lambda: trials.get(engine, trial_id=99),
        lambda: trials.attempts(engine, trial_id=99),
        lambda: trials.claim(engine, trial_id=99, worker_id=worker_id),
        lambda: trials.start(engine, trial_id=99, epoch=1),
        lambda: trials.heartbeat(engine, trial_id=99, epoch=1),
        lambda: trials.finish(engine, trial_id=99, epoch=1, state="failed"),
        lambda: trials.release(engine, trial_id=99, epoch=1),
        lambda: trials.cancel(engine, trial_id=99, actor=ACTOR),
        lambda: trials.retry(engine, trial_id=99, actor=ACTOR),
        lambda: trials.edit_note(engine, trial_id=99, note="", actor=ACTOR),
        lambda: trials.ask(engine, study_id=99, client_id="a", actor=ACTOR),
        lambda: trials.enqueue(engine, study_id=99, actor=ACTOR),
        lambda: trials.page(engine, study_id=99),
        lambda: checkpoints.register(engine, trial_id=99, epoch=1, step=1, uri="/a"),
        lambda: checkpoints.page(engine, trial_id=99),
        lambda: sampling.fill(engine, study_id=99),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize("wrong", [{"client_id": ""}, {"client_id": "\x00"}, {"count": 0}, {"count": 10**9}])
def test_a_wrong_ask_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    study = make_study(engine, launched=False)
    with pytest.raises(TunebookError) as refusal:
        trials.ask(engine, study_id=study.id, actor=ACTOR, **{"client_id": "a", **wrong})
    assert refusal.value.code == "invalid"


def test_a_note_is_kept(engine: Engine) -> None:
    study = make_study(engine)
    trial = trials.enqueue(engine, study_id=study.id, actor=ACTOR)
    assert trials.edit_note(engine, trial_id=trial.id, note="odd\ncurve", actor=ACTOR).note == "odd\ncurve"
    assert studies.get(engine, study_id=study.id).revision > study.revision

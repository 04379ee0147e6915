"""Checkpoints that are not kept: condemned by the server, removed by workers, never resumed from again."""

import math
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from tests.services.making import ACTOR, make_study, make_worker
from tunebook_server.domain.batch import Series
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.retention import ALL, Retention
from tunebook_server.services import checkpoints, leases, metrics, retention, sampling, studies, trials
from tunebook_server.services.checkpoints import Lost, Resumed
from tunebook_server.services.retention import Root
from tunebook_server.storage import checkpoints as rows

ROOT = "/data/checkpoints"


class Job:
    """One attempt at a trial, as its supervisor speaks to the server."""

    def __init__(self, engine: Engine, claim: Claim) -> None:
        self.engine, self.claim, self.batches = engine, claim, 0
        self.who: dict[str, Any] = {"trial_id": claim.trial.id, "epoch": claim.trial.epoch}

    def report(self, step: int, loss: float) -> None:
        series: Series = {"valid/error": (np.array([step]), np.array([loss]))}
        content_hash = self.batches.to_bytes(4, "little")
        metrics.report(
            self.engine, **self.who, sequence=self.batches, series=series, content_hash=content_hash
        )
        self.batches += 1

    def save(self, step: int, **more: Any) -> None:
        uri = f"{ROOT}/{self.who['trial_id']}/{self.who['epoch']}/{step}"
        checkpoints.register(self.engine, **self.who, **{"step": step, "uri": uri, **more})

    def finish(self, state: str = "completed") -> None:
        trials.finish(self.engine, **self.who, state=state)

    def rows(self) -> list[tuple[int, str, str]]:
        found = checkpoints.page(self.engine, trial_id=self.who["trial_id"]).items
        return [(row.checkpoint.step, row.state, row.reason) for row in found]

    def states(self) -> dict[int, str]:
        return {step: state for step, state, _ in self.rows()}


def jobs(engine: Engine, count: int = 1, **design: Any) -> tuple[list[Job], int]:
    """Claimed trials of one study, and the worker that has them."""
    study = make_study(engine, parallel=count, **design)
    queued = sampling.fill(engine, study_id=study.id)
    worker_id = make_worker(engine)
    claims = [trials.claim(engine, trial_id=t, worker_id=worker_id, host="host") for t in queued[:count]]
    return [Job(engine, claim) for claim in claims], worker_id


def due(engine: Engine, worker_id: int, root: str = ROOT, *, shared: bool = False) -> list[int]:
    """Steps that this worker should remove, and their ids are confirmed."""
    found = retention.take(engine, worker_id=worker_id, roots=[Root(root, shared)])
    return [each.step for each in found]


def test_a_checkpoint_is_copied_or_judged_but_not_both_at_once(engine: Engine) -> None:
    """A copy does without one that is being judged; whoever judges waits until it is copied."""
    (job,), _ = jobs(engine)
    trial = job.who["trial_id"]
    job.save(1)
    (found,) = checkpoints.page(engine, trial_id=trial).items
    with engine.begin() as copying, engine.begin() as judging:
        rows.hold_all(judging, trial)
        assert not rows.hold(copying, found.checkpoint.id)
    with engine.begin() as copying, engine.connect() as judging:
        assert rows.hold(copying, found.checkpoint.id)
        judging.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            rows.hold_all(judging, trial)
    with engine.begin() as judging:
        rows.hold_all(judging, trial)


def test_without_a_metric_the_objectives_last_value_counts(engine: Engine) -> None:
    (job,), _ = jobs(engine, retention=ALL)
    job.save(5)
    job.report(10, 0.5)
    job.report(20, 0.4)
    job.save(15)
    job.save(20)
    job.save(25, metric=0.1)
    found = checkpoints.page(engine, trial_id=job.who["trial_id"]).items
    scored = {r.checkpoint.step: (r.checkpoint.metric, r.checkpoint.metric_step) for r in found}
    assert scored == {5: (None, None), 15: (0.5, 10), 20: (0.4, 20), 25: (0.1, None)}


def test_a_value_that_comes_after_its_checkpoint_still_counts(engine: Engine) -> None:
    (job,), _ = jobs(engine)
    job.report(1, 0.9)
    job.save(2)
    job.report(2, 0.1)
    job.report(3, 0.5)
    job.save(3)
    job.report(4, math.nan)
    job.save(4)
    assert [(step, state) for step, state, _ in job.rows()] == [
        (4, "remove_next"),
        (3, "removing"),
        (2, "keep"),
    ]


def test_a_resumed_attempt_is_scored_by_what_it_went_on_from(engine: Engine) -> None:
    (job,), worker_id = jobs(engine, retention=ALL)
    job.report(10, 0.5)
    job.save(10)
    job.report(20, 0.1)
    trials.release(engine, **job.who)
    again = Job(engine, trials.claim(engine, trial_id=job.who["trial_id"], worker_id=worker_id))
    assert again.claim.resume is not None
    assert again.claim.resume.step == 10
    again.save(21)
    found = checkpoints.page(engine, trial_id=job.who["trial_id"]).items[0].checkpoint
    assert (found.metric, found.metric_step) == (0.5, 10), "step 20 of the first attempt is superseded"


def test_what_is_not_kept_is_removed_by_a_worker_and_never_resumed_from(engine: Engine) -> None:
    (job,), worker_id = jobs(engine)
    for step, loss in enumerate([0.9, 0.2, 0.5, 0.4]):
        job.report(step, loss)
        job.save(step)
    assert job.states() == {0: "removing", 1: "keep", 2: "removing", 3: "remove_next"}
    taken = retention.take(engine, worker_id=worker_id, roots=[Root(ROOT, False)])
    assert [each.step for each in taken] == [0, 2]
    assert due(engine, worker_id) == [0, 2], "told again until it is confirmed"
    ids = [each.id for each in taken]
    gone = retention.confirm(engine, worker_id=worker_id, checkpoint_ids=ids, actor="worker:w")
    assert [each.step for each in sorted(gone, key=lambda each: each.step)] == [0, 2]
    assert retention.confirm(engine, worker_id=worker_id, checkpoint_ids=ids, actor="worker:w") == []
    assert due(engine, worker_id) == []
    assert job.states()[0] == "removed"
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT actor FROM audit WHERE action = 'checkpoint.remove'")).all()
    assert rows == [("worker:w",), ("worker:w",)]
    trials.release(engine, **job.who)
    again = trials.claim(engine, trial_id=job.who["trial_id"], worker_id=worker_id)
    assert again.resume is not None
    assert (again.resume.step, [each.step for each in again.older]) == (3, [1])


def test_one_that_cannot_be_removed_does_not_hold_up_the_others(engine: Engine) -> None:
    (job,), worker_id = jobs(engine)
    for step in range(4):
        job.save(step)
    first, *_ = retention.take(engine, worker_id=worker_id, roots=[Root(ROOT, False)])
    retention.confirm(engine, worker_id=worker_id, checkpoint_ids=[], failed=[first.id], actor="worker:w")
    assert due(engine, worker_id) == [1, 2, 0]


def test_one_that_is_kept_cannot_be_confirmed_away(engine: Engine) -> None:
    (job,), worker_id = jobs(engine)
    job.save(1)
    with engine.connect() as connection:
        ids = list(connection.execute(text("SELECT id FROM checkpoints")).scalars())
    assert retention.confirm(engine, worker_id=worker_id, checkpoint_ids=ids, actor=ACTOR) == []
    assert job.states() == {1: "remove_next"}


def test_only_who_can_reach_it_is_told(engine: Engine) -> None:
    (job,), worker_id = jobs(engine)
    job.save(1)
    job.save(2)
    stranger = make_worker(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE workers SET host = 'far' WHERE id = :id"), {"id": stranger})
    assert due(engine, stranger) == []
    assert due(engine, stranger, shared=True) == [1]
    assert due(engine, worker_id, "/data/check") == []
    assert due(engine, worker_id, ROOT + "/") == [1]
    with pytest.raises(NotFound):
        due(engine, 999)
    with pytest.raises(Invalid) as refused:
        due(engine, worker_id, "a\x00")
    assert refused.value.field == "roots.0.uri"


def test_the_one_that_a_running_attempt_goes_on_from_stays_until_it_ends(engine: Engine) -> None:
    (job,), worker_id = jobs(engine, retention=Retention(0, 1))
    job.save(1)
    trials.release(engine, **job.who)
    again = Job(engine, trials.claim(engine, trial_id=job.who["trial_id"], worker_id=worker_id))
    again.report(2, 0.5)
    again.save(2)
    again.save(3)
    assert again.states() == {1: "keep", 2: "removing", 3: "remove_next"}
    assert again.rows()[-1][2] == "the running attempt goes on from it"
    again.finish()
    assert due(engine, worker_id) == [2, 1], "judged again when somebody asks after the end"
    assert again.states() == {1: "removing", 2: "removing", 3: "keep"}


def test_of_ended_trials_the_best_keep_theirs(engine: Engine) -> None:
    running, worker_id = jobs(
        engine, count=3, objective=Objective("valid/error"), retention=Retention(1, 1, 1)
    )
    for job, loss in zip(running, [0.5, 0.3, 0.4], strict=True):
        job.report(1, loss)
        job.save(1)
    assert due(engine, worker_id) == [], "they all run"
    running[0].finish()
    assert due(engine, worker_id) == [], "the best so far"
    running[1].finish()
    running[2].finish()
    assert len(due(engine, worker_id)) == 2
    assert [job.states()[1] for job in running] == ["removing", "keep", "removing"]
    assert "not among the best 1 trial of the study" in running[0].rows()[0][2]


def test_a_failed_trial_keeps_what_it_could_go_on_from(engine: Engine) -> None:
    (job,), worker_id = jobs(engine, max_attempts=1, retention=Retention(0, 0))
    job.save(1)
    job.finish("failed")
    assert due(engine, worker_id) == []
    assert job.states()[1] in ("keep", "remove_next")


def test_another_policy_judges_ended_trials_again(engine: Engine) -> None:
    (job,), worker_id = jobs(engine, retention=ALL)
    for step, loss in enumerate([0.9, 0.2, 0.5]):
        job.report(step, loss)
        job.save(step)
    job.finish()
    assert due(engine, worker_id) == []
    study_id = job.claim.trial.study_id
    studies.edit(engine, study_id=study_id, changes={"checkpoints": {"keep_last": 0}}, actor=ACTOR)
    assert studies.get(engine, study_id=study_id).retention == Retention(1, 0)
    assert due(engine, worker_id) == [0, 2]
    with pytest.raises(Invalid) as refused:
        studies.edit(engine, study_id=study_id, changes={"checkpoints": {"keep_best": -1}}, actor=ACTOR)
    assert refused.value.field == "checkpoints.keep_best"


def test_one_that_is_overwritten_is_gone_with_its_file(engine: Engine) -> None:
    (job,), worker_id = jobs(engine)
    same = f"{ROOT}/{job.who['trial_id']}/1/last"
    job.save(1, uri=same)
    job.save(2, uri=same)
    assert job.rows()[1] == (1, "removed", "overwritten by the checkpoint of step 2")
    assert due(engine, worker_id) == [], "nobody may remove the file of step 2"


def test_an_attempt_that_goes_on_from_an_older_one_says_so(engine: Engine) -> None:
    (job,), worker_id = jobs(engine, retention=ALL)
    for step, loss in ((1, 0.9), (2, 0.1)):
        job.report(step, loss)
        job.save(step)
    trials.release(engine, **job.who)
    again = Job(engine, trials.claim(engine, trial_id=job.who["trial_id"], worker_id=worker_id))
    where = Resumed(1, 1, "Resumed from step 1.", (Lost(1, 2, "it is damaged"),))
    for _ in range(2):
        trials.start(engine, **again.who, resumed=where)
    attempt = trials.attempts(engine, trial_id=job.who["trial_id"])[-1]
    assert (attempt.resumed_from_epoch, attempt.resumed_from_step) == (1, 1)
    assert attempt.resume_note == "Resumed from step 1."
    assert trials.get(engine, trial_id=job.who["trial_id"]).objective == 0.9, "step 2 is superseded"
    assert again.rows()[0] == (2, "removing", "it is damaged")
    trials.release(engine, **again.who)
    third = trials.claim(engine, trial_id=job.who["trial_id"], worker_id=worker_id)
    assert third.resume is not None
    assert (third.resume.step, third.older) == (1, ())
    with pytest.raises(Invalid) as refused:
        trials.start(engine, trial_id=third.trial.id, epoch=3, resumed=Resumed(1, 7, "x"))
    assert refused.value.field == "resumed.step"


def test_a_trial_that_was_lost_keeps_what_it_goes_on_from(engine: Engine) -> None:
    (job,), worker_id = jobs(engine)
    job.save(1)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE trials SET lease_expires_at = now() - interval '1 s'"
                " WHERE lease_expires_at IS NOT NULL"
            )
        )
    leases.sweep(engine)
    assert due(engine, worker_id) == []
    again = trials.claim(engine, trial_id=job.who["trial_id"], worker_id=worker_id)
    assert again.resume is not None

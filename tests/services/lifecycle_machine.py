"""A Hypothesis state machine over the real services and a real Postgres.

Each rule does something that workers, jobs, people, clocks or crashes do, asks the model what should have
come of it, and compares the answer; after each step the rows are compared too.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import time_machine
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Engine, event

from tests.services import lifecycle_invariants
from tests.services.lifecycle_model import (
    BUDGET,
    MAX_ATTEMPTS,
    PARALLEL,
    Job,
    Message,
    Model,
    ModelTrial,
)
from tests.services.making import ACTOR, make_study, make_worker
from tunebook_server.domain.errors import TunebookError
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.services import access, checkpoints, leases, metrics, sampling, studies, trials

METRIC = "valid/error"
VALUES = (0.5, 0.25, 0.75, 0.125, float("nan"), float("inf"), float("-inf"))
PICK = st.integers(0, 2**16)
RECENT = st.one_of(st.just(0), st.integers(0, 2), PICK)
OUTCOMES = ("failed", "completed", "failed", "infeasible", "failed", "stopped")


class Crash(Exception):
    """The process died before its commit."""


CRASHED = object()


class LifecycleMachine(RuleBasedStateMachine):
    engine: ClassVar[Engine]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.jobs: list[Job] = []
        self.sent: list[Message] = []
        self.hints: list[int] = []
        self.doomed = False
        self.dirty: set[int] = set()
        self.cleanup = ExitStack()

    @initialize(skew_hours=st.sampled_from((-1, 1, 0)))
    def begin(self, skew_hours: int) -> None:
        """The clock of the API's host is wrong by an hour: only the database's may matter."""
        wrong = datetime.now(UTC) + timedelta(hours=skew_hours)
        self.cleanup.enter_context(time_machine.travel(wrong, tick=True))
        event.listen(self.engine, "commit", self._maybe_crash)
        self.cleanup.callback(event.remove, self.engine, "commit", self._maybe_crash)
        study = make_study(self.engine, budget=BUDGET, parallel=PARALLEL, max_attempts=MAX_ATTEMPTS)
        self.study_id, self.revision = study.id, study.revision
        self.worker_id = make_worker(self.engine)
        self.fill()

    def teardown(self) -> None:
        self.cleanup.close()
        self._sql("DELETE FROM projects")

    # What people and the control worker do -------------------------------------------------------

    @rule()
    def fill(self) -> None:
        found = self._call(sampling.fill, study_id=self.study_id)
        if found is CRASHED:
            return
        self._learn(self.model.to_create())
        self.model.after_fill()
        wanted = self.model.due_hints()
        assert found == wanted, f"I10: hints {found}, not {wanted}"
        self.hints += found

    @precondition(lambda self: self.model.room and self.model.state != "finished")
    @rule()
    def enqueue(self) -> None:
        if self._call(trials.enqueue, study_id=self.study_id, actor=ACTOR) is not CRASHED:
            self._learn(1)

    @precondition(lambda self: self.model.room >= 2 and self.model.state != "finished")
    @rule()
    def enqueue_twice_at_once(self) -> None:
        self.doomed = False
        with ThreadPoolExecutor(2) as pool:
            futures = [
                pool.submit(trials.enqueue, self.engine, study_id=self.study_id, actor=ACTOR)
                for _ in range(2)
            ]
            numbers = {future.result().number for future in futures}
        assert len(numbers) == 2, f"I2: two trials got the number {numbers}"
        self._learn(2)

    @precondition(lambda self: self.model.state != "finished")
    @rule(state=st.sampled_from(("paused", "running", "running")))
    def pause_or_resume(self, state: str) -> None:
        changes = {"state": state}
        done = self._call(studies.edit, study_id=self.study_id, revision=None, changes=changes, actor=ACTOR)
        if done is not CRASHED:
            self.model.state = state

    @precondition(lambda self: self.model.trials)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        trial = self._trial(pick)
        self._compare(lambda: self.model.cancel(trial), trials.cancel, trial_id=trial.id, actor=ACTOR)

    @precondition(lambda self: self.model.in_order("failed"))
    @rule(pick=PICK)
    def retry(self, pick: int) -> None:
        failed = self.model.in_order("failed")
        trial = failed[pick % len(failed)]
        self._compare(lambda: self.model.retry(trial), trials.retry, trial_id=trial.id, actor=ACTOR)

    # What brokers and workers do -----------------------------------------------------------------

    @precondition(lambda self: self.hints)
    @rule(pick=PICK, times=st.sampled_from((1, 1, 2, 0)))
    def deliver_hint(self, pick: int, times: int) -> None:
        trial_id = self.hints.pop(pick % len(self.hints))
        for _ in range(times):
            self._claim(trial_id)

    @precondition(lambda self: self.model.trials)
    @rule(pick=PICK)
    def forge_hint(self, pick: int) -> None:
        self._claim(self._trial(pick).id)

    @rule(client=st.sampled_from(("a", "b")), count=st.integers(1, 2))
    def ask(self, client: str, count: int) -> None:
        names = [client, f"{client}#2"][:count]
        held = [trial for trial in self.model.in_order("claimed", "running") if trial.client in names]
        if self.model.state == "paused" and not held:
            return
        claims = self._call(trials.ask, study_id=self.study_id, client_id=client, count=count, actor=ACTOR)
        if claims is CRASHED:
            return
        free = [name for name in names if name not in {trial.client for trial in held}]
        queued = self.model.in_order("queued")
        if self.model.state == "running" and len(free) > len(queued):
            self._learn(min(len(free) - len(queued), self.model.room))
            queued = self.model.in_order("queued")
        taken = list(zip(queued, free, strict=False)) if self.model.state == "running" else []
        for trial, name in taken:
            self.model.hold(trial, state="running", client=name)
        assert [claim.trial.id for claim in claims] == [t.id for t in held] + [t.id for t, _ in taken]
        for claim in claims:
            self._employ(claim)

    # What jobs do, now or late ---------------------------------------------------------------------

    @precondition(lambda self: self.jobs)
    @rule(pick=RECENT, kind=st.sampled_from(("start", "beat")), now=st.booleans())
    def signal(self, pick: int, kind: str, now: bool) -> None:
        self._write(Message(kind, self._job(pick)), now)

    @precondition(lambda self: self.jobs)
    @rule(
        pick=RECENT,
        points=st.dictionaries(st.integers(1, 6), st.sampled_from(VALUES), min_size=1, max_size=3),
        now=st.sampled_from((True, True, True, False)),
    )
    def report(self, pick: int, points: dict[int, float], now: bool) -> None:
        job = self._job(pick)
        moved = tuple((job.resume_step + step, value) for step, value in sorted(points.items()))
        self._write(Message("report", job, (job.sequence, moved)), now)
        job.sequence += 1

    @precondition(lambda self: self.jobs)
    @rule(pick=RECENT, step=st.integers(1, 6), folder=st.sampled_from(("own", "shared", "shared/deep")))
    def checkpoint(self, pick: int, step: int, folder: str) -> None:
        job = self._job(pick)
        place = f"epoch{job.epoch}" if folder == "own" else folder
        uri = f"file:///checkpoints/{job.trial_id}/{place}/{step}"
        self._write(Message("checkpoint", job, (job.resume_step + step, uri)), True)

    @precondition(lambda self: self.jobs)
    @rule(
        pick=RECENT,
        outcome=st.sampled_from(OUTCOMES),
        dropped=st.sampled_from((0, 3)),
        now=st.sampled_from((True, False)),
    )
    def finish(self, pick: int, outcome: str, dropped: int, now: bool) -> None:
        self._write(Message("finish", self._job(pick), (outcome, dropped)), now)

    @precondition(lambda self: self.jobs)
    @rule(pick=RECENT)
    def release(self, pick: int) -> None:
        self._write(Message("release", self._job(pick)), True)

    @precondition(lambda self: self.sent)
    @rule(pick=RECENT)
    def deliver_again(self, pick: int) -> None:
        """Late, doubled, or out of order: whatever was ever sent may arrive now."""
        self._deliver(self.sent[-1 - pick % len(self.sent)])

    @precondition(lambda self: any(message.kind == "report" for message in self.sent))
    @rule(pick=RECENT)
    def tamper(self, pick: int) -> None:
        """The sequence number of an earlier batch, with other points."""
        reports = [message for message in self.sent if message.kind == "report"]
        message = reports[-1 - pick % len(reports)]
        sequence, points = message.content
        self._deliver(Message("report", message.job, (sequence, (*points, (99, 0.0625)))))

    # What time, crashes and restores do --------------------------------------------------------------

    @precondition(lambda self: self.model.in_order("claimed", "running"))
    @rule(pick=PICK, then=st.sampled_from(("claimed again", "claimed again", "swept", "")))
    def lease_runs_out(self, pick: int, then: str) -> None:
        held = self.model.in_order("claimed", "running")
        trial = held[pick % len(held)]
        past = "UPDATE trials SET lease_expires_at = now() - interval '1 s' WHERE id = %s"
        self._sql(past, trial.id)
        trial.expired = True
        if then:
            self.sweep()
        if then == "claimed again":
            self._claim(trial.id)

    @rule()
    def sweep(self) -> None:
        swept = self._call(leases.sweep)
        if swept is CRASHED:
            return
        wanted = self.model.sweep()
        assert sorted(swept.requeued) == wanted, f"I9: {swept}, not {wanted} queued again"
        assert sorted(swept.hints) == wanted, f"I9: hints {swept.hints}, not {wanted}"
        self.hints += swept.hints
        self.dirty |= set(wanted)

    @rule()
    def hints_go_astray(self) -> None:
        """The broker is wiped and time passes: the next sweep sends every hint again."""
        self.hints.clear()
        self._sql("UPDATE trials SET hinted_at = now() - interval '1 h' WHERE hinted_at IS NOT NULL")
        for trial in self.model.trials.values():
            trial.hinted = False
        found = self._call(leases.hints_due)
        if found is not CRASHED:
            wanted = self.model.due_hints()
            assert found == wanted, f"I10: hints {found}, not {wanted}"
            self.hints += found

    @rule()
    def crash_before_next_commit(self) -> None:
        self.doomed = True

    @precondition(lambda self: self.jobs)
    @rule(sure=st.sampled_from((False, False, False, False, True)))
    def restore_backup(self, sure: bool) -> None:
        if sure:
            self._sql("UPDATE server SET generation = gen_random_uuid()")
            self.model.generation += 1

    @invariant()
    def invariants_hold(self) -> None:
        if not hasattr(self, "study_id"):
            return
        with self._calm(), self.engine.connect() as connection:
            stored = lifecycle_invariants.Stored.read(connection, self.study_id)
        lifecycle_invariants.check(stored, self.model)
        assert stored.study["revision"] >= self.revision, "a revision went back"
        self.revision = stored.study["revision"]
        with self._calm():
            for trial_id in self.dirty:
                lifecycle_invariants.check_curves(self.engine, self.model.trials[trial_id])
        self.dirty.clear()

    # How a step is taken -----------------------------------------------------------------------------

    def _maybe_crash(self, _connection: object) -> None:
        if self.doomed:
            self.doomed = False
            raise Crash

    def _call(self, service: Callable[..., Any], **arguments: object) -> Any:
        try:
            return service(self.engine, **arguments)
        except Crash:
            return CRASHED

    def _compare(self, expect: Callable[[], object], service: Callable[..., Any], **arguments: object) -> Any:
        """Calls the service; its answer or error must be what the model expects, unless it crashed."""
        try:
            answer, error = self._call(service, **arguments), None
        except TunebookError as refusal:
            answer, error = None, type(refusal)
        if answer is CRASHED:
            return None
        expected = expect()
        assert error == expected, f"{service.__name__} {arguments}: {error}, not {expected}"
        return answer

    def _claim(self, trial_id: int) -> None:
        trial = self.model.trials[trial_id]
        claim = self._compare(
            lambda: self.model.expect_claim(trial),
            trials.claim,
            trial_id=trial_id,
            worker_id=self.worker_id,
            host="host",
        )
        if claim is not None:
            self.model.hold(trial, state="claimed")
            self._employ(claim)

    def _employ(self, claim: Claim) -> None:
        trial = self.model.trials[claim.trial.id]
        assert claim.trial.epoch == trial.epoch, f"I3: claimed at epoch {claim.trial.epoch}"
        step = trial.resumed[trial.epoch]
        assert (None if claim.resume is None else claim.resume.step) == step or claim.trial.client_id
        job = Job(trial.id, trial.epoch, claim.token, self.model.generation, -1 if step is None else step)
        job.sequence = 1 + max((at for epoch, at in trial.batches if epoch == trial.epoch), default=-1)
        self.jobs.append(job)
        self.dirty.add(trial.id)

    def _write(self, message: Message, now: bool) -> None:
        self.sent.append(message)
        if now:
            self._deliver(message)

    def _deliver(self, message: Message) -> None:
        self._compare(lambda: self.model.receive(message), self._receive, message=message)
        self.dirty.add(message.job.trial_id)

    def _receive(self, engine: Engine, message: Message) -> object:
        principal = access.authenticate(engine, bearer=message.job.token, session=None)
        who: dict[str, Any] = {"trial_id": principal.trial_id, "epoch": principal.epoch}
        match message.kind, message.content:
            case "start", ():
                return trials.start(engine, **who)
            case "beat", ():
                return trials.heartbeat(engine, **who)
            case "report", (sequence, points):
                return _report(engine, who, sequence, points)
            case "checkpoint", (step, uri):
                return checkpoints.register(engine, **who, step=step, uri=uri)
            case "finish", (state, dropped):
                return trials.finish(engine, **who, state=state, dropped_points=dropped)
        return trials.release(engine, **who)

    def _learn(self, count: int) -> None:
        """The trials that a service has just made."""
        known = "SELECT id, number FROM trials WHERE study_id = %s ORDER BY number"
        rows = [row for row in self._sql(known, self.study_id) if row[0] not in self.model.trials]
        assert len(rows) == count, f"I2: {len(rows)} new trials, not {count}"
        for trial_id, number in rows:
            self.model.trials[trial_id] = ModelTrial(trial_id, number)

    def _sql(self, statement: str, *values: object) -> list[Any]:
        with self._calm(), self.engine.begin() as connection:
            result = connection.exec_driver_sql(statement, values)
            return list(result) if result.returns_rows else []

    @contextmanager
    def _calm(self) -> Iterator[None]:
        """What the machine itself does to the database never crashes."""
        armed, self.doomed = self.doomed, False
        yield
        self.doomed = armed

    def _trial(self, pick: int) -> ModelTrial:
        return list(self.model.trials.values())[pick % len(self.model.trials)]

    def _job(self, pick: int) -> Job:
        """Counted from the most recent one."""
        return self.jobs[-1 - pick % len(self.jobs)]


def _report(engine: Engine, who: dict[str, Any], sequence: Any, points: Any) -> object:
    steps = np.array([step for step, _ in points], dtype=np.int64)
    values = np.array([value for _, value in points], dtype=np.float64)
    content_hash = hashlib.sha256(steps.tobytes() + values.tobytes()).digest()
    series = {METRIC: (steps, values)}
    return metrics.report(engine, **who, sequence=sequence, series=series, content_hash=content_hash)

"""The life of a trial: asked for or claimed, started, beating, finished; cancelled, released, retried.

Each is one transaction. Writes of a job name their epoch and are refused (Fenced) once it has passed.
"""

from collections.abc import Mapping, Sequence

from tunebook_server.domain import lifecycle
from tunebook_server.domain.edition import refuse_stale
from tunebook_server.domain.errors import Conflict, Fenced, Gone, Mismatch, NotFound
from tunebook_server.domain.lifecycle import Beat, Ending, Fate, Outcome, Verdict
from tunebook_server.domain.schedulers import Kind
from tunebook_server.domain.study import Study
from tunebook_server.domain.texts import (
    INTEGER_HIGHEST,
    json_object,
    long_text,
    name_text,
    short_reason,
    whole_number,
)
from tunebook_server.domain.trial import ENDED, Attempt, Trial, TrialState
from tunebook_server.services import checkpoints, reported
from tunebook_server.services.asks import ask
from tunebook_server.services.checkpoints import Resumed
from tunebook_server.services.claims import claim, enqueue
from tunebook_server.services.trial_pages import count, page
from tunebook_server.settings import settings
from tunebook_server.storage import attempts as attempt_rows
from tunebook_server.storage import audit, evaluations, studies, trials
from tunebook_server.storage.engine import Connection, Engine, transaction

__all__ = [
    "ask",
    "attempts",
    "cancel",
    "claim",
    "count",
    "edit_note",
    "enqueue",
    "environments",
    "finish",
    "get",
    "heartbeat",
    "many",
    "page",
    "release",
    "retry",
    "start",
]

ATTEMPTS_SHOWN = 1000
POINTS_MOST = 2**40
REPORTED_MOST = 100
"""Metrics of a trial that are looked through for what it reported instead."""


def get(engine: Engine, *, trial_id: int) -> Trial:
    with transaction(engine) as connection:
        trial = trials.get(connection, trial_id)
    if trial is None:
        raise NotFound(f"there is no trial {trial_id}")
    return trial


def many(engine: Engine, *, trial_ids: Sequence[int]) -> dict[int, Trial]:
    """By id; unknown ones are left out."""
    with transaction(engine) as connection:
        return trials.many(connection, trial_ids)


def attempts(engine: Engine, *, trial_id: int) -> list[Attempt]:
    """In order; the newest 1,000."""
    with transaction(engine) as connection:
        if trials.get(connection, trial_id) is None:
            raise NotFound(f"there is no trial {trial_id}")
        return attempt_rows.of_trial(connection, trial_id, ATTEMPTS_SHOWN)


def environments(engine: Engine, *, trial_ids: Sequence[int]) -> dict[int, Mapping[str, object]]:
    """By trial what its newest attempt said of the code and machine it runs on."""
    with transaction(engine) as connection:
        return attempt_rows.environments(connection, trial_ids)


def start(
    engine: Engine,
    *,
    trial_id: int,
    epoch: int,
    environment: Mapping[str, object] | None = None,
    host: str = "",
    resumed: Resumed | None = None,
) -> Trial:
    """The job's process runs; `resumed` where it could not go on from the checkpoint that came with the
    claim. A second call changes nothing."""
    described = json_object(environment or {}, field="environment")
    host = name_text(host, field="host") if host else ""
    with transaction(engine) as connection:
        trial = _lock(connection, trial_id)
        lifecycle.fence(trial, epoch)
        attempt = attempt_rows.get(connection, trial_id, epoch)
        if attempt is not None and attempt.started_at is not None:
            return trial
        attempt_rows.start(connection, trial_id, epoch, host=host, environment=described)
        trial = trials.start(connection, trial_id)
        if resumed is not None:
            checkpoints.resumed(connection, trial_id=trial_id, epoch=epoch, where=resumed)
            reported.forget(engine, trial_id)
        studies.bump_best(connection, trial.study_id)
    return trial


def heartbeat(engine: Engine, *, trial_id: int, epoch: int) -> Beat:
    """Renews the lease. Raises Fenced for an epoch that has passed, and Gone when the trial was cancelled, or
    stopped by its scheduler.

    The lease is renewed then too, so that the job has time to stop; and to save, where it is only paused.
    """
    seconds = settings().lease_seconds
    with transaction(engine) as connection:
        trial = trials.beat(connection, trial_id, epoch, lease_seconds=seconds)
        if trial is None:
            found = trials.get(connection, trial_id)
            if found is None:
                raise NotFound(f"there is no trial {trial_id}")
            lifecycle.fence(found, epoch)
            raise Fenced(f"trial {trial_id} changed hands", remedy="Stop writing.")
        attempt_rows.beat(connection, trial_id, epoch)
    paused = trial.decision == Kind.PAUSE
    if trial.cancel_requested_at is not None and not paused:
        why = trial.decision_reason or "cancelled"
        problem = f"trial {trial_id} was {'stopped: ' if trial.decision else ''}{why}"
        raise Gone(problem, remedy="Stop the job and finish the trial as stopped.")
    return Beat(lease_expires_in_seconds=seconds, pause=paused)


def finish(
    engine: Engine,
    *,
    trial_id: int,
    epoch: int,
    state: str,
    reason: str = "",
    exit_status: int | None = None,
    dropped_points: int = 0,
) -> Trial:
    """Ends the attempt once, whatever the number of deliveries; another ending of the epoch is a Mismatch.

    A failed trial is queued again while it has attempts left, save a completed one without a value that it
    needs. `dropped_points`: points that the job reported and that will never arrive (a full spool, damaged
    records).
    """
    outcome, reason = lifecycle.finishable(state), short_reason(reason)
    if exit_status is not None:
        whole_number(exit_status, field="exit_status", low=-INTEGER_HIGHEST - 1, high=INTEGER_HIGHEST)
    whole_number(dropped_points, field="dropped_points", low=0, high=POINTS_MOST)
    return _end_attempt(
        engine, trial_id, epoch, outcome, reason, exit_status=exit_status, dropped_points=dropped_points
    )


def release(engine: Engine, *, trial_id: int, epoch: int, reason: str = "", preempted: bool = False) -> Trial:
    """Back to the queue without charging an attempt: a worker drains, or the cluster took its machine."""
    outcome = Outcome.PREEMPTED if preempted else Outcome.RELEASED
    return _end_attempt(engine, trial_id, epoch, outcome, short_reason(reason))


def cancel(engine: Engine, *, trial_id: int, actor: str) -> Trial:
    """A queued trial stops at once; of a running one the job is told with its next heartbeat."""
    with transaction(engine) as connection:
        trial = _lock(connection, trial_id)
        if trial.cancel_requested_at is not None and not trial.decision:
            return trial
        if trial.state in ENDED:
            raise Conflict(f"trial {trial_id} is {trial.state} already")
        if trial.state is TrialState.QUEUED:
            trial = trials.end(
                connection, trial, Ending(TrialState.STOPPED, Outcome.STOPPED, True, "cancelled")
            )
        else:
            trial = trials.request_cancel(connection, trial_id)
        audit.write(connection, actor=actor, action="trial.cancel", target=f"trial:{trial_id}")
        studies.bump_best(connection, trial.study_id)
    return trial


def retry(engine: Engine, *, trial_id: int, actor: str) -> Trial:
    """Gives a failed trial one more attempt; a finished study runs again."""
    with transaction(engine) as connection:
        trial = _lock(connection, trial_id)
        if trial.state is not TrialState.FAILED:
            raise Conflict(
                f"trial {trial_id} is {trial.state}", remedy="Only a failed trial can be tried again."
            )
        trial = trials.requeue(connection, trial_id)
        study = studies.get(connection, trial.study_id)
        if study is not None and study.state == "finished":
            studies.change(connection, study.id, {"state": "running", "finished_at": None})
        audit.write(connection, actor=actor, action="trial.retry", target=f"trial:{trial_id}")
        studies.bump_best(connection, trial.study_id)
    return trial


def edit_note(engine: Engine, *, trial_id: int, note: str, edition: str | None = None, actor: str) -> Trial:
    """Raises Stale when people have written into the trial since `edition`."""
    long_text(note, field="note")
    with transaction(engine) as connection:
        trial = _lock(connection, trial_id)
        refuse_stale(edition, trial.edition, what="trial")
        trial = trials.change(connection, trial_id, {"note": note})
        audit.write(connection, actor=actor, action="trial.note", target=f"trial:{trial_id}")
        studies.bump(connection, trial.study_id)
    return trial


def _end_attempt(
    engine: Engine,
    trial_id: int,
    epoch: int,
    outcome: Outcome,
    reason: str,
    *,
    exit_status: int | None = None,
    dropped_points: int = 0,
) -> Trial:
    sent = lifecycle.finish_hash(epoch, outcome, reason, exit_status)
    with transaction(engine) as connection:
        trial = _lock(connection, trial_id)
        if _ended_before(connection, trial, epoch, sent):
            return trial
        lifecycle.fence(trial, epoch)
        study = studies.get(connection, trial.study_id)
        assert study is not None
        ending = _ending(
            connection,
            study,
            trial,
            _verdict(connection, study, trial, outcome, reason),
            exit_status=exit_status,
            dropped_points=dropped_points,
        )
        if ending.state is TrialState.QUEUED and studies.is_finished(connection, study.id):
            ending = ending.without_a_queue()
        attempt_rows.end(
            connection,
            trial_id,
            epoch,
            ending,
            reason=ending.reason,
            finish_hash=sent,
            exit_status=exit_status,
            dropped_points=dropped_points,
        )
        trial = trials.end(connection, trial, ending)
        studies.bump_best(connection, study.id)
    return trial


def _ended_before(connection: Connection, trial: Trial, epoch: int, sent: bytes) -> bool:
    """True for an ending that was applied already; raises Mismatch where the attempt ended in another way."""
    applied = attempt_rows.finish_hash(connection, trial.id, epoch)
    if applied is not None and applied != sent:
        raise Mismatch(f"attempt {epoch} of trial {trial.id} ended in another way", remedy="Stop.")
    return applied == sent


def _verdict(connection: Connection, study: Study, trial: Trial, outcome: Outcome, reason: str) -> Verdict:
    names = [each.metric for each in study.constraints]
    verdict = lifecycle.judge(
        outcome,
        reason,
        metric=study.objective.metric,
        trial=trial,
        constraints=study.constraints,
        last_values=evaluations.last_values(connection, trial.id, names) if names else {},
    )
    if not verdict.missing or reason:
        return verdict
    return verdict.beside(evaluations.reported(connection, trial.id, REPORTED_MOST))


def _ending(
    connection: Connection,
    study: Study,
    trial: Trial,
    verdict: Verdict,
    *,
    exit_status: int | None,
    dropped_points: int,
) -> Ending:
    """The same script would leave out the same metric again; only where points were lost may it have been
    among them."""
    fate = Fate(verdict.outcome, exit_status, attempt_rows.worker_name(connection, trial))
    return lifecycle.end(
        trial,
        verdict.outcome,
        verdict.reason,
        max_attempts=study.max_attempts,
        fates=[*attempt_rows.fates(connection, trial.id), fate],
        final=bool(verdict.missing) and not dropped_points,
    )


def _lock(connection: Connection, trial_id: int) -> Trial:
    trial = trials.lock(connection, trial_id)
    if trial is None:
        raise NotFound(f"there is no trial {trial_id}")
    return trial

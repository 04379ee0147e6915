"""What may follow what in the life of a trial. Pure: the clock and the rows are the storage's."""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tunebook_server.domain.constraint import Constraint
from tunebook_server.domain.errors import Fenced, Invalid
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.project import JobTemplate
from tunebook_server.domain.schedulers.scheduler import Kind
from tunebook_server.domain.trial import HELD, Checkpoint, Trial, TrialState


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"
    RELEASED = "released"
    PREEMPTED = "preempted"
    PAUSED = "paused"
    """By the study's scheduler: others go on first."""


SIGNALS_MOST = 64
STUDY_FINISHED = "the study was finished"
WORKERS_SHOWN = 3
UNCHARGED = frozenset({Outcome.RELEASED, Outcome.PREEMPTED, Outcome.PAUSED})
FINISHABLE = (Outcome.COMPLETED, Outcome.INFEASIBLE, Outcome.STOPPED, Outcome.FAILED)
METRICS_SHOWN = 5
METRIC_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that the caller holds now, and what it needs to train it; durations in seconds."""

    trial: Trial
    token: str
    lease_seconds: float
    beat_seconds: float
    fence_seconds: float
    template: JobTemplate | None
    objective: Objective
    resume: Checkpoint | None
    study_name: str
    project_id: int
    project_name: str
    older: tuple[Checkpoint, ...] = ()
    """The checkpoints before `resume`, the newest first: for where that one cannot be read."""


@dataclass(frozen=True, slots=True)
class Beat:
    lease_expires_in_seconds: float
    cancel: bool = False
    pause: bool = False


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did; `hints` are the trials that may be claimed again."""

    requeued: tuple[int, ...]
    failed: tuple[int, ...]
    stopped: tuple[int, ...]
    hints: list[int]
    epochs: Mapping[int, int] = field(default_factory=dict)
    """By trial the attempt that was lost."""


@dataclass(frozen=True, slots=True)
class Fate:
    """How a charged attempt ended, and where; `exit_status` below zero for a signal that was not ours."""

    outcome: Outcome
    exit_status: int | None = None
    worker: str = ""

    @property
    def took_down(self) -> bool:
        """Its worker was lost with it, or a process of it crashed or was killed, as for want of memory.

        A shell or launcher in between says 128 + signal.
        """
        if self.outcome is not Outcome.FAILED or self.exit_status is None:
            return self.outcome is Outcome.LOST
        return self.exit_status < 0 or 128 < self.exit_status <= 128 + SIGNALS_MOST


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt's end is, whatever the job called it. `missing`: the metric that a completed one has no
    value of, although it needs one."""

    outcome: Outcome
    reason: str
    missing: str = ""

    def beside(self, reported: Sequence[str]) -> "Verdict":
        """With the metrics that came instead; those close to the missing one's name first."""
        return replace(self, reason=f"{self.reason} (it reported {_listed(reported, self.missing)})")


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ends, and where that leaves its trial."""

    state: TrialState
    outcome: Outcome
    charged: bool
    reason: str
    poisoned: bool = False

    def without_a_queue(self) -> "Ending":
        """In a study that is finished, nothing waits for another attempt."""
        return replace(self, state=TrialState.STOPPED, reason=STUDY_FINISHED)


def fence(trial: Trial, epoch: int) -> None:
    """Raise Fenced unless `epoch` holds the trial now."""
    if trial.epoch == epoch and trial.state in HELD:
        return
    if trial.epoch == epoch:
        raise Fenced(f"trial {trial.id} is {trial.state}: attempt {epoch} has ended", remedy="Stop writing.")
    raise Fenced(
        f"trial {trial.id} is at epoch {trial.epoch}, not {epoch}", remedy="Another attempt goes on: stop."
    )


def finishable(state: str) -> Outcome:
    """The outcome that a job may report; Invalid for any other word."""
    if state not in FINISHABLE:
        words = ", ".join(FINISHABLE)
        raise Invalid(f"state is {state[:60]!r}", field="state", remedy=f"Use one of {words}.")
    return Outcome(state)


def judge(
    outcome: Outcome,
    reason: str,
    *,
    metric: str,
    trial: Trial,
    constraints: Sequence[Constraint] = (),
    last_values: Mapping[str, float] | None = None,
) -> Verdict:
    """A completed attempt needs a value: without any it failed, with only NaN or infinity it diverged. It
    needs one of every constrained metric, too, and is infeasible where that is out of bounds."""
    if outcome is not Outcome.COMPLETED:
        return Verdict(outcome, reason)
    if trial.objective is not None:
        return _within(constraints, last_values or {}, reason)
    if trial.objective_points:
        return Verdict(Outcome.INFEASIBLE, reason or f"diverged: {metric} was not finite")
    return Verdict(Outcome.FAILED, reason or f"ended without a value of {metric}", metric)


def _within(constraints: Sequence[Constraint], last_values: Mapping[str, float], reason: str) -> Verdict:
    for each in constraints:
        if each.metric not in last_values:
            said = reason or f"ended without a value of {each.metric}, which is constrained"
            return Verdict(Outcome.FAILED, said, each.metric)
    problems = [problem for each in constraints if (problem := each.problem(last_values[each.metric]))]
    if problems:
        return Verdict(Outcome.INFEASIBLE, "; ".join(problems))
    return Verdict(Outcome.COMPLETED, reason)


def _listed(reported: Sequence[str], missing: str) -> str:
    """Jobs choose these names, and as many and as long as they like."""
    short = [name if len(name) <= METRIC_LONGEST else f"{name[: METRIC_LONGEST - 1]}…" for name in reported]
    close = difflib.get_close_matches(missing[:METRIC_LONGEST], short, n=METRICS_SHOWN)
    names = list(dict.fromkeys([*close, *short]))
    return ", ".join(names[:METRICS_SHOWN]) + (", …" if len(names) > METRICS_SHOWN else "") or "nothing"


def end(
    trial: Trial,
    outcome: Outcome,
    reason: str,
    *,
    max_attempts: int,
    fates: Sequence[Fate],
    final: bool = False,
) -> Ending:
    """`fates`: of all charged attempts, this one among them. `final`: another attempt would end in the same
    way.

    A decision of the scheduler holds for an attempt that was stopped because of it, and for one that ended in
    another way before it could be; not for one that reached its own end meanwhile.
    """
    if trial.decision == Kind.PAUSE and outcome in (Outcome.STOPPED, *UNCHARGED):
        return Ending(TrialState.QUEUED, Outcome.PAUSED, False, trial.decision_reason)
    if trial.decision == Kind.STOP and outcome not in (Outcome.COMPLETED, Outcome.INFEASIBLE):
        return Ending(TrialState.STOPPED, outcome, True, trial.decision_reason)
    charged = outcome not in UNCHARGED
    if outcome in (Outcome.COMPLETED, Outcome.INFEASIBLE, Outcome.STOPPED):
        return Ending(TrialState(outcome), outcome, charged, reason)
    if trial.cancel_requested_at is not None and not trial.decision:
        return Ending(TrialState.STOPPED, outcome, charged, "cancelled")
    if not charged or (trial.attempts < max_attempts and not final):
        return Ending(TrialState.QUEUED, outcome, charged, reason)
    poisoned = bool(fates) and all(fate.took_down for fate in fates)
    if poisoned and len(fates) > 1:
        reason = _poisoned(fates, reason)
    return Ending(TrialState.FAILED, outcome, charged, reason, poisoned)


def _poisoned(fates: Sequence[Fate], reason: str) -> str:
    """Where all of it happened on one worker, that one may be to blame: a reader should see it."""
    workers = sorted({fate.worker for fate in fates if fate.worker})
    shown = ", ".join(workers[:WORKERS_SHOWN]) + (", …" if len(workers) > WORKERS_SHOWN else "")
    where = f" ({shown})" if workers else ""
    each = f"each of {len(fates)} attempts"
    return f"poisoned: {each} crashed, or was killed or lost with its worker{where}; the last: {reason}"


def finish_hash(epoch: int, state: str, reason: str, exit_status: int | None) -> bytes:
    """Two finishes with this hash are one finish sent twice."""
    return hashlib.sha256(json.dumps([epoch, state, reason, exit_status]).encode()).digest()


def trial_seed(study_seed: int, number: int) -> int:
    """The seed of a trial's training run: 31 bits, because NumPy and others take no more than 32."""
    digest = hashlib.sha256(f"{study_seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFF_FFFF

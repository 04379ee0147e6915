"""What may follow what in the life of a trial. Pure: the clock and the rows are the storage's."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tunebook_server.domain.errors import Fenced, Invalid
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.project import JobTemplate
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


UNCHARGED = frozenset({Outcome.RELEASED, Outcome.PREEMPTED})
FINISHABLE = (Outcome.COMPLETED, Outcome.INFEASIBLE, Outcome.STOPPED, Outcome.FAILED)


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
class Ending:
    """How an attempt ends, and where that leaves its trial."""

    state: TrialState
    outcome: Outcome
    charged: bool
    reason: str
    poisoned: bool = False


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


def judge(outcome: Outcome, reason: str, *, metric: str, trial: Trial) -> tuple[Outcome, str]:
    """A completed attempt needs a value: without any it failed, with only NaN or infinity it diverged."""
    if outcome is not Outcome.COMPLETED or trial.objective is not None:
        return outcome, reason
    if trial.objective_points:
        return Outcome.INFEASIBLE, reason or f"diverged: {metric} was not finite"
    return Outcome.FAILED, reason or f"ended without a value of {metric}"


def end(trial: Trial, outcome: Outcome, reason: str, *, max_attempts: int, killed_each: bool) -> Ending:
    """`killed_each`: the earlier charged attempts were all lost with their workers."""
    charged = outcome not in UNCHARGED
    if outcome in (Outcome.COMPLETED, Outcome.INFEASIBLE, Outcome.STOPPED):
        return Ending(TrialState(outcome), outcome, charged, reason)
    if trial.cancel_requested_at is not None:
        return Ending(TrialState.STOPPED, outcome, charged, "cancelled")
    if not charged or trial.attempts < max_attempts:
        return Ending(TrialState.QUEUED, outcome, charged, reason)
    poisoned = outcome is Outcome.LOST and killed_each
    if poisoned:
        reason = f"poisoned: each of {trial.attempts} attempts was lost with its worker"
    return Ending(TrialState.FAILED, outcome, charged, reason, poisoned)


def finish_hash(epoch: int, state: str, reason: str, exit_status: int | None) -> bytes:
    """Two finishes with this hash are one finish sent twice."""
    return hashlib.sha256(json.dumps([epoch, state, reason, exit_status]).encode()).digest()


def trial_seed(study_seed: int, number: int) -> int:
    """The seed of a trial's training run: 31 bits, because NumPy and others take no more than 32."""
    digest = hashlib.sha256(f"{study_seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFF_FFFF

"""A trial: one configuration, trained once; its states and what may follow what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tunebook_server.domain.edition import edition

Value = float | int | str | bool
Configuration = Mapping[str, Value]
"""Hyperparameter values by name; conditional hyperparameters appear only where they are active."""


class TrialState(StrEnum):
    QUEUED = "queued"
    CLAIMED = "claimed"
    RUNNING = "running"
    COMPLETED = "completed"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped"
    FAILED = "failed"


class End(StrEnum):
    """What is wanted of an attempt."""

    NOT = ""
    STOP = "stop"
    PAUSE = "pause"
    """To save and end: the trial goes on later."""


HELD = frozenset({TrialState.CLAIMED, TrialState.RUNNING})
ENDED = frozenset({TrialState.COMPLETED, TrialState.INFEASIBLE, TrialState.STOPPED, TrialState.FAILED})


@dataclass(frozen=True, slots=True)
class Trial:
    id: int
    study_id: int
    number: int
    state: TrialState
    epoch: int
    parameters: Configuration
    seed: int
    space_version: int
    created_at: datetime
    sample_index: int | None = None
    drawn_by: str = ""
    """The sampler that chose its values; empty for a person."""
    client_id: str | None = None
    worker_id: int | None = None
    attempts: int = 0
    reason: str = ""
    note: str = ""
    poisoned: bool = False
    objective: float | None = None
    best_step: int | None = None
    last_step: int | None = None
    objective_points: int = 0
    cancel_requested_at: datetime | None = None
    lease_expires_at: datetime | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    turn: int = 0
    """The rung that it waits at; queued trials with a lower one go first."""
    decide_at: int | None = None
    """The rung at which its scheduler judges it next."""
    decision: str = ""
    """`stop` or `pause`, from the moment on that its scheduler decides it until its attempt has ended."""
    decision_reason: str = ""
    copied_checkpoint_id: int | None = None
    """Of another trial: where it goes on as long as no attempt since has registered one."""
    copied_epoch: int | None = None
    """The last attempt before that copy."""

    @property
    def edition(self) -> str:
        """Changes with what people write into it."""
        return edition(self.note)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One epoch of a trial: who held it, and how that ended (`outcome` None while it lasts)."""

    trial_id: int
    epoch: int
    claimed_at: datetime
    worker_id: int | None = None
    host: str = ""
    started_at: datetime | None = None
    last_beat_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    charged: bool = True
    reason: str = ""
    exit_status: int | None = None
    environment: Mapping[str, object] = field(default_factory=dict)
    resumed_from_step: int | None = None
    resumed_from_epoch: int | None = None
    resumed_from_trial_id: int | None = None
    """The other trial whose checkpoint it was, where it was a copy."""
    parameters: Configuration | None = None
    """Where the study's scheduler changes them between attempts."""
    resume_note: str = ""
    """Where it could not go on from the last checkpoint: why, and from which it did."""
    dropped_points: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`metric` was given by the job, or is the objective's value at `metric_step`, the last evaluation up to
    `step`. A condemned one is never resumed from again, and is gone from its store at `removed_at`."""

    id: int
    trial_id: int
    epoch: int
    step: int
    uri: str
    metric: float | None
    created_at: datetime
    metric_step: int | None = None
    size_bytes: int | None = None
    content_hash: str = ""
    condemned_at: datetime | None = None
    removal_reason: str = ""
    removed_at: datetime | None = None

"""Shapes of trials, their attempts and claims."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field, model_validator

from tunebook_server.api.schemas import (
    INT32_MOST,
    Epoch,
    Lines,
    Name,
    Number,
    Received,
    Sent,
    Sequence,
    Value,
    Word,
)
from tunebook_server.api.schemas.checkpoints import ResumedIn
from tunebook_server.api.schemas.projects import JobTemplateOut
from tunebook_server.api.schemas.studies import ObjectiveOut
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.services.asks import ASK_MOST, CLIENT_LONGEST
from tunebook_server.services.trial_pages import TrialRow
from tunebook_server.services.trials import POINTS_MOST

State = Literal["queued", "claimed", "running", "completed", "infeasible", "stopped", "failed"]
States = Annotated[list[State], Query(alias="state", max_length=20)]
Host = Annotated[Word, Field(max_length=200)]
Reason = Annotated[str, Field(max_length=100_000)]
LOG_CHARACTERS_MOST = 4 << 20


class TrialOut(Sent):
    id: int
    study_id: int
    number: int
    state: State
    epoch: int
    parameters: dict[str, Value]
    seed: int
    space_version: int
    sample_index: int | None
    drawn_by: str = Field(
        description="The sampler that chose its values; empty for a person, and in older trials."
    )
    client_id: str | None
    worker_id: int | None
    attempts: int
    reason: str
    note: str
    poisoned: bool
    objective: Number | None
    best_step: int | None
    last_step: int | None
    cancel_requested_at: datetime | None
    decision: str = Field(description="Of its study's scheduler, while its attempt ends: stop or pause.")
    decision_reason: str
    lease_expires_at: datetime | None
    created_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class TrialRowOut(TrialOut):
    """`values`: hyperparameters by key, conditional ones apart; `worker`: the name of its holder."""

    values: dict[str, Value]
    worker: str

    @model_validator(mode="before")
    @classmethod
    def of(cls, row: Any) -> Any:
        if not isinstance(row, TrialRow):
            return row
        trial = {name: getattr(row.trial, name) for name in TrialOut.model_fields}
        return {**trial, "values": row.values, "worker": row.worker}


class TrialIn(Received):
    """Without parameters the study's sampler gives the next configuration."""

    parameters: dict[str, Any] | None = Field(default=None, examples=[{"optimizer": "adam"}])


class TrialChange(Received):
    note: Lines


class AttemptOut(Sent):
    trial_id: int
    epoch: int
    worker_id: int | None
    host: str
    claimed_at: datetime
    started_at: datetime | None
    last_beat_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    charged: bool
    reason: str
    exit_status: int | None
    environment: dict[str, Any]
    resumed_from_step: int | None
    resumed_from_epoch: int | None
    resumed_from_trial_id: int | None = Field(description="Where a scheduler copied it from another trial.")
    parameters: dict[str, Value] | None = Field(description="Where a scheduler changes them on the way.")
    resume_note: str = Field(description="Where it could not go on from the last checkpoint: why.")
    dropped_points: int


class ResumeOut(Sent):
    """`trial_id`: another trial's where a scheduler has copied it."""

    trial_id: int
    step: int
    uri: str
    epoch: int
    size_bytes: int | None
    content_hash: str


class Named(Sent):
    id: int
    name: str


class ClaimOut(Sent):
    """A trial that is yours now; durations in seconds. `token` speaks for this epoch and dies with it.
    `older`: checkpoints to go on from, one after another, where `resume` cannot be read."""

    trial: TrialOut
    token: str
    epoch: int
    lease_seconds: float
    beat_seconds: float
    fence_seconds: float
    template: JobTemplateOut | None
    objective: ObjectiveOut
    resume: ResumeOut | None
    older: list[ResumeOut] = Field(default=[])
    study: Named
    project: Named
    checkpoint_folder: str | None = None

    @model_validator(mode="before")
    @classmethod
    def of(cls, claim: Any) -> Any:
        if not isinstance(claim, Claim):
            return claim
        same = ("trial", "token", "lease_seconds", "beat_seconds", "fence_seconds", "template", "objective")
        return {
            **{name: getattr(claim, name) for name in same},
            "epoch": claim.trial.epoch,
            "resume": claim.resume,
            "older": list(claim.older),
            "study": {"id": claim.trial.study_id, "name": claim.study_name},
            "project": {"id": claim.project_id, "name": claim.project_name},
        }


class AskIn(Received):
    """A client that asks again with its `client_id` gets the trials back that it holds already."""

    client_id: Annotated[Name, Field(max_length=CLIENT_LONGEST, examples=["node-3-7f2a"])]
    count: int = Field(default=1, ge=1, le=ASK_MOST)
    host: Host = ""


class AskOut(Sent):
    """Fewer than asked for at the end of the study."""

    trials: list[ClaimOut]


class ClaimIn(Received):
    host: Host = ""


class StartIn(Received):
    epoch: Epoch
    host: Host = ""
    environment: dict[str, Any] = Field(default={}, examples=[{"python": "3.11.2", "gpu": "H200"}])
    resumed: ResumedIn | None = None


class EpochIn(Received):
    epoch: Epoch


class BeatOut(Sent):
    """`pause`: save, end, and finish as stopped: the trial goes on later."""

    lease_expires_in_seconds: float
    cancel: bool
    pause: bool


class LogIn(Received):
    epoch: Epoch
    sequence: Sequence
    content_base64: str = Field(max_length=LOG_CHARACTERS_MOST, examples=["ZXBvY2ggMQo="])


class LogOut(Sent):
    """The end of the log, or a piece of it; bytes that are no UTF-8 are shown as U+FFFD. `at_end`: nothing
    follows yet."""

    content: str
    first_byte: int
    next_byte: int
    epoch: int
    size_bytes: int
    at_end: bool


class LogMatchOut(Sent):
    """The place of the words, and the text around it: plain, as `plain=true` gives it."""

    first_byte: int
    next_byte: int
    before: str
    text: str
    after: str


class LogSearchOut(Sent):
    """`match` null: there is none up to the byte `scanned_to`; unless `complete`, ask again from there."""

    match: LogMatchOut | None
    scanned_to: int
    complete: bool
    epoch: int
    size_bytes: int


class FinishIn(Received):
    epoch: Epoch
    state: Literal["completed", "infeasible", "stopped", "failed"]
    reason: Reason = ""
    exit_status: int | None = Field(default=None, ge=-INT32_MOST - 1, le=INT32_MOST)
    dropped_points: int = Field(default=0, ge=0, le=POINTS_MOST)


class ReleaseIn(Received):
    """`preempted`: the cluster took the machine away; else the worker itself gives the trial back."""

    epoch: Epoch
    reason: Reason = ""
    preempted: bool = False


class Nothing(Received):
    """An empty object."""

"""Shapes of checkpoints: registered, resumed from, removed."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tunebook_server.api.schemas import INT64_MOST, Epoch, Number, Received, Sent, Step, Word
from tunebook_server.services.checkpoints import (
    HASH_LONGEST,
    LOST_MOST,
    URI_LONGEST,
    CheckpointRow,
    Lost,
    Resumed,
)
from tunebook_server.services.retention import REMOVED_AT_ONCE, ROOT_LONGEST, ROOTS_MOST

Problem = Annotated[Word, Field(max_length=10_000)]
TrialId = Annotated[int, Field(ge=1, le=INT64_MOST)]
Uri = Annotated[Word, Field(min_length=1, max_length=URI_LONGEST)]


class CheckpointIn(Received):
    """`metric`: its quality, where the objective's value at its step is not what counts; `content_hash`: what
    a reader compares, such as "sha256:…"."""

    epoch: Epoch
    step: Step
    uri: Uri
    metric: float | Literal["NaN", "Infinity", "-Infinity"] | None = None
    size_bytes: int | None = Field(default=None, ge=0, le=INT64_MOST)
    content_hash: Annotated[Word, Field(max_length=HASH_LONGEST)] = ""


class CheckpointOut(Sent):
    """`metric_step`: where the objective's value is from; null for a metric that the job gave."""

    trial_id: int
    epoch: int
    step: int
    uri: str
    metric: Number | None
    metric_step: int | None
    size_bytes: int | None
    content_hash: str
    created_at: datetime
    condemned_at: datetime | None
    removed_at: datetime | None


class RegisteredOut(CheckpointOut):
    """`given_up`: steps of this attempt whose checkpoints are not kept; the job's copies may go too."""

    given_up: list[int]


class CheckpointRowOut(CheckpointOut):
    """`state`: kept, kept until the next one is registered, being removed by a worker, or removed; `reason`
    says why."""

    state: Literal["keep", "remove_next", "removing", "removed"]
    reason: str

    @model_validator(mode="before")
    @classmethod
    def of(cls, row: Any) -> Any:
        if not isinstance(row, CheckpointRow):
            return row
        checkpoint = {name: getattr(row.checkpoint, name) for name in CheckpointOut.model_fields}
        return {**checkpoint, "state": row.state, "reason": row.reason}


class LostIn(Received):
    epoch: Epoch
    step: Step
    problem: Problem
    trial_id: TrialId | None = None


class ResumedIn(Received):
    """Where an attempt goes on in place of the checkpoint that came with its claim; without epoch and step it
    starts over. `lost`: checkpoints that are damaged or gone for good. `trial_id`: of one that was copied
    from another trial."""

    epoch: Epoch | None = None
    step: Step | None = None
    note: Problem
    trial_id: TrialId | None = None
    lost: list[LostIn] = Field(default=[], max_length=LOST_MOST)

    def value(self) -> Resumed:
        lost = tuple(Lost(each.epoch, each.step, each.problem, each.trial_id) for each in self.lost)
        return Resumed(self.epoch, self.step, self.note, lost, self.trial_id)


class RootIn(Received):
    """`shared`: every host sees the same there; else it is a folder of this worker's host."""

    uri: Annotated[Word, Field(min_length=1, max_length=ROOT_LONGEST)]
    shared: bool = False


class RemovalsIn(Received):
    roots: list[RootIn] = Field(max_length=ROOTS_MOST)


class RemovalOut(Sent):
    id: int
    trial_id: int
    epoch: int
    step: int
    uri: str


class RemovalsOut(Sent):
    """At most 100; those that are not confirmed are told again."""

    items: list[RemovalOut]


CheckpointId = Annotated[int, Field(ge=1, le=INT64_MOST)]


class RemovedIn(Received):
    """`failed`: could not be removed this time; others are told before them."""

    removed: list[CheckpointId] = Field(max_length=REMOVED_AT_ONCE)
    failed: list[CheckpointId] = Field(default=[], max_length=REMOVED_AT_ONCE)


class RemovedOut(Sent):
    """How many of them were not confirmed before."""

    removed: int

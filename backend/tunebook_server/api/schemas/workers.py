"""Shapes of workers."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, model_validator

from tunebook_server.api.schemas import INT32_MOST, INT64_MOST, Epoch, Name, Received, Sent, Word
from tunebook_server.api.schemas.trials import ClaimOut, Host, TrialOut
from tunebook_server.domain.resources import CPUS_MOST, GPUS_MOST
from tunebook_server.domain.worker import WorkerRow, WorkerState
from tunebook_server.services.claims import KEY_LONGEST
from tunebook_server.services.workers import RUNNING_MOST, silent_after_seconds

TrialId = Annotated[int, Field(ge=1, le=INT64_MOST)]


class WorkerIn(Received):
    name: Name = Field(examples=["gpu-7"])
    host: Annotated[Word, Field(max_length=200)] = ""
    slots: int = Field(ge=0, le=INT32_MOST)
    gpus: int = Field(default=0, ge=0, le=GPUS_MOST)
    cpus: int = Field(default=0, ge=0, le=CPUS_MOST)
    labels: dict[str, Any] = Field(default={}, examples=[{"gpu": "h200", "zone": "a"}])
    version: Annotated[Word, Field(max_length=200)] = ""


class WorkerOut(Sent):
    id: int
    name: str
    host: str
    slots: int
    gpus: int
    cpus: int
    version: str
    labels: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    last_seen_at: datetime | None
    stopped_at: datetime | None
    drain_requested_at: datetime | None


class WorkerRowOut(WorkerOut):
    """`silent_seconds` since the last beat, by the database's clock; `state` as the Workers page calls it."""

    trials: list[TrialOut]
    silent_seconds: float | None
    state: WorkerState

    @model_validator(mode="before")
    @classmethod
    def of(cls, row: Any) -> Any:
        if not isinstance(row, WorkerRow):
            return row
        worker = {name: getattr(row.worker, name) for name in WorkerOut.model_fields}
        return {
            **worker,
            "trials": list(row.trials),
            "silent_seconds": row.silent_seconds,
            "state": row.state(silent_after_seconds=silent_after_seconds()),
        }


class WaitingIn(Received):
    """An attempt whose job waits in the queue of a cluster, so that nobody else beats for it."""

    trial_id: TrialId
    epoch: Epoch


Registered = Annotated[AwareDatetime | None, Field(strict=False)]
"""JSON has texts alone for a time."""


class WorkerStoppedIn(Received):
    """`started_at`: of its registration, so that a late copy changes nothing of the next one."""

    started_at: Registered = None


class WorkerBeatIn(Received):
    """`running`: every trial that it holds; `waiting`: those of them whose leases this beat renews;
    `started_at`: of its registration, so that a late copy revives nothing."""

    started_at: Registered = None

    running: list[TrialId] = Field(fail_fast=True, max_length=RUNNING_MOST)
    waiting: list[WaitingIn] = Field(default=[], fail_fast=True, max_length=RUNNING_MOST)


class OrdersOut(Sent):
    """`drain`: take nothing new, give back what you have, and end; `stop`: trials to stop, because they were
    cancelled or are another's now; `queues`: where hints for jobs go that it could run."""

    drain: bool
    stop: list[int]
    queues: list[str]


class WorkerClaimIn(Received):
    """`gpus`, `cpus`: what is free; `key`: of this claim, the same when its answer was lost."""

    key: Annotated[Name, Field(max_length=KEY_LONGEST, examples=["7f2a91c4"])]
    gpus: int = Field(default=0, ge=0, le=GPUS_MOST)
    cpus: int = Field(default=0, ge=0, le=CPUS_MOST)
    host: Host = ""


class WorkerClaimOut(Sent):
    """`claim` is null when there is nothing for this worker."""

    claim: ClaimOut | None

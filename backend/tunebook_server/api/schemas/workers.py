"""Shapes of workers."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, model_validator

from tunebook_server.api.schemas import INT32_MOST, INT64_MOST, Name, Received, Sent, Word
from tunebook_server.api.schemas.trials import TrialOut
from tunebook_server.domain.worker import WorkerRow, WorkerState
from tunebook_server.services.workers import RUNNING_MOST, silent_after_seconds

TrialId = Annotated[int, Field(ge=1, le=INT64_MOST)]


class WorkerIn(Received):
    name: Name = Field(examples=["gpu-7"])
    host: Annotated[Word, Field(max_length=200)] = ""
    slots: int = Field(ge=0, le=INT32_MOST)
    labels: dict[str, Any] = Field(default={}, examples=[{"gpus": "0,1"}])
    version: Annotated[Word, Field(max_length=200)] = ""


class WorkerOut(Sent):
    id: int
    name: str
    host: str
    slots: int
    version: str
    labels: dict[str, Any]
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


class WorkerBeatIn(Received):
    running: list[TrialId] = Field(fail_fast=True, max_length=RUNNING_MOST)


class OrdersOut(Sent):
    """`drain`: take nothing new, give back what you have, and end; `stop`: trials to stop, because they were
    cancelled or are another's now."""

    drain: bool
    stop: list[int]

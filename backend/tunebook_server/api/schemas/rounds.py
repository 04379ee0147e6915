"""Shapes of rounds."""

from datetime import datetime
from typing import Any

from pydantic import Field, model_validator

from tunebook_server.api.schemas import Lines, Name, Received, Sent
from tunebook_server.domain.round import RoundSummary


class RoundIn(Received):
    name: Name = Field(examples=["optimizer"])
    goal: Lines = Field(default="", examples=["Which optimizer trains best?"])


class RoundChange(Received):
    """Only the fields given are changed."""

    name: Name = Field(default="", validate_default=False)
    goal: Lines = ""
    conclusion: Lines = ""


class RoundOut(Sent):
    id: int
    project_id: int
    name: str
    goal: str
    conclusion: str
    revision: int
    created_by: str
    created_at: datetime
    changed_at: datetime


class RoundRow(RoundOut):
    studies: int
    running_studies: int

    @model_validator(mode="before")
    @classmethod
    def of(cls, row: Any) -> Any:
        if not isinstance(row, RoundSummary):
            return row
        of_round = {name: getattr(row.round, name) for name in RoundOut.model_fields}
        return {**of_round, "studies": row.studies, "running_studies": row.running_studies}

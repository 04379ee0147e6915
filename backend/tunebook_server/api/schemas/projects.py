"""Shapes of projects and job templates."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, model_validator

from tunebook_server.api.schemas import Lines, Name, Received, Sent, Word
from tunebook_server.domain.project import ProjectSummary
from tunebook_server.domain.resources import CPUS_MOST, GPUS_MOST, LABELS_MOST, PROCESSES_MOST, WORD
from tunebook_server.domain.study_limits import PARALLEL_MOST, WEIGHT_LEAST, WEIGHT_MOST
from tunebook_server.services.templates import DEADLINE_MOST, FOLDER_LONGEST, WORD_LONGEST, WORDS_MOST

Argument = Annotated[Word, Field(min_length=1, max_length=WORD_LONGEST)]
Deadline = Annotated[int | None, Field(ge=1, le=DEADLINE_MOST)]


class ProjectIn(Received):
    name: Name = Field(examples=["digits"])
    goal: Lines = ""
    note: Lines = ""


class ProjectChange(Received):
    """Only the fields given are changed. `weight`: of its trials in progress against other projects';
    `parallel`: trials of all its studies that workers run at the same time, null for no limit."""

    name: Name = Field(default="", validate_default=False)
    goal: Lines = ""
    note: Lines = ""
    weight: float = Field(default=1.0, ge=WEIGHT_LEAST, le=WEIGHT_MOST, allow_inf_nan=False)
    parallel: int | None = Field(default=None, ge=0, le=PARALLEL_MOST)


class ProjectOut(Sent):
    id: int
    name: str
    goal: str
    note: str
    revision: int
    created_at: datetime
    changed_at: datetime
    weight: float
    parallel: int | None


class ProjectRow(ProjectOut):
    studies: int
    running_studies: int

    @model_validator(mode="before")
    @classmethod
    def of(cls, row: Any) -> Any:
        if not isinstance(row, ProjectSummary):
            return row
        project = {name: getattr(row.project, name) for name in ProjectOut.model_fields}
        return {**project, "studies": row.studies, "running_studies": row.running_studies}


RESOURCES: dict[str, Any] = {
    "type": "object",
    "description": "What one trial needs: whole GPUs, cores, and labels that its worker must have.",
    "properties": {
        "gpus": {
            "type": "integer",
            "minimum": 0,
            "maximum": GPUS_MOST,
            "description": "Whole devices, the trial's alone; left out: one where the worker has any.",
        },
        "cpus": {"type": "integer", "minimum": 0, "maximum": CPUS_MOST, "default": 0},
        "labels": {
            "type": "object",
            "maxProperties": LABELS_MOST,
            "additionalProperties": {"type": "string", "pattern": f"^{WORD.pattern}$"},
        },
    },
    "additionalProperties": False,
}


class JobTemplateIn(Received):
    """`argv`: the program and its first arguments; values of hyperparameters follow as `--name=value`.
    `environment`: names of variables copied from the worker's environment. `processes`: how many of them a
    trial starts, each told its rank as torchrun does. `silence_seconds`: a job from which no report,
    checkpoint or output has come for so long is ended, as failed; `limit_seconds`: so is one that has run for
    so long."""

    name: Name = Field(examples=["digits-mlp"])
    argv: list[Argument] = Field(
        fail_fast=True, min_length=1, max_length=WORDS_MOST, examples=[["python", "train.py"]]
    )
    folder: Annotated[Word, Field(min_length=1, max_length=FOLDER_LONGEST, examples=["/srv/digits"])]
    environment: list[Argument] = Field(
        fail_fast=True, default=[], max_length=WORDS_MOST, examples=[["PATH", "HOME"]]
    )
    resources: Annotated[dict[str, Any], WithJsonSchema(RESOURCES)] = Field(default={})
    processes: int = Field(default=1, ge=1, le=PROCESSES_MOST)
    silence_seconds: Deadline = Field(default=None, examples=[1800])
    limit_seconds: Deadline = Field(default=None, examples=[86_400])


class ResourcesOut(Sent):
    gpus: int | None
    cpus: int
    labels: dict[str, str]


class JobTemplateOut(Sent):
    id: int
    project_id: int
    name: str
    version: int
    argv: list[str]
    folder: str
    environment: list[str]
    resources: ResourcesOut
    processes: int
    silence_seconds: int | None
    limit_seconds: int | None
    created_by: str
    created_at: datetime

"""A project holds the studies of one question or model; its job templates say what may be launched."""

from dataclasses import dataclass, field
from datetime import datetime

from tunebook_server.domain.resources import Resources


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    name: str
    goal: str
    note: str
    revision: int
    created_at: datetime
    changed_at: datetime
    weight: float = 1.0
    """Of its trials in progress against those of other projects, when workers are short."""
    parallel: int | None = None
    """Trials of all its studies that workers run at the same time, at most."""


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    project: Project
    studies: int
    running_studies: int


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """An argv list, its working folder, and the variables copied from the worker's environment, by name.

    `processes`: how many of them one trial starts on its host, as torchrun does; one of them reports.
    `silence_seconds`: a job from which no report, checkpoint or output has come for so long is ended, as
    failed; `limit_seconds`: so is one that has run for so long. None: never.
    """

    id: int
    project_id: int
    name: str
    version: int
    argv: tuple[str, ...]
    folder: str
    environment: tuple[str, ...]
    created_by: str
    created_at: datetime
    resources: Resources = field(default_factory=Resources)
    processes: int = 1
    silence_seconds: int | None = None
    limit_seconds: int | None = None

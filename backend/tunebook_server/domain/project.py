"""A project holds the studies of one question or model; its job templates say what may be launched."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    name: str
    goal: str
    note: str
    revision: int
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    project: Project
    studies: int
    running_studies: int


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """An argv list, its working folder, and the variables copied from the worker's environment, by name."""

    id: int
    project_id: int
    name: str
    version: int
    argv: tuple[str, ...]
    folder: str
    environment: tuple[str, ...]
    created_by: str
    created_at: datetime

"""Schedulers: which trials go on, from what they have reached at a few steps of their training."""

from tunebook_server.domain.schedulers.registry import BOHB, NONE, SCHEDULERS, scheduler
from tunebook_server.domain.schedulers.scheduler import CONTINUE, Decision, Kind, Scheduler

__all__ = [
    "BOHB",
    "CONTINUE",
    "NONE",
    "SCHEDULERS",
    "Decision",
    "Kind",
    "Scheduler",
    "scheduler",
]

"""Tunebook in a training script.

Inside a job that a worker started:

    trial = tunebook.current_trial()
    model = build(trial.parameters["learning_rate"])
    trial.report(step, {"train/loss": loss, "valid/error": error})

In a loop of one's own: `tunebook.Client().study("name").ask()`. Importing this loads the standard library
alone; the HTTP library comes with the first request, and never in a launched job.
"""

from typing import TYPE_CHECKING

from tunebook.errors import (
    ApiError,
    Busy,
    Cancelled,
    Conflict,
    Fenced,
    Forbidden,
    Invalid,
    NoCredentials,
    NotFound,
    NotLaunched,
    TunebookError,
    Unauthenticated,
    Unreachable,
)
from tunebook.job import INFEASIBLE_EXIT_CODE, LaunchedTrial, current_trial, launched
from tunebook.trial import Trial

if TYPE_CHECKING:
    from tunebook.asked import AskedTrial
    from tunebook.client import Client, Study
    from tunebook.rounds import Round

    __version__: str

__all__ = [
    "INFEASIBLE_EXIT_CODE",
    "ApiError",
    "AskedTrial",
    "Busy",
    "Cancelled",
    "Client",
    "Conflict",
    "Fenced",
    "Forbidden",
    "Invalid",
    "LaunchedTrial",
    "NoCredentials",
    "NotFound",
    "NotLaunched",
    "Round",
    "Study",
    "Trial",
    "TunebookError",
    "Unauthenticated",
    "Unreachable",
    "current_trial",
    "launched",
]


def __getattr__(name: str) -> object:
    # A launched job needs none of this, and should not wait for it.
    if name in ("AskedTrial", "Client", "Study"):
        from tunebook import client

        return getattr(client, name)
    if name == "Round":
        from tunebook.rounds import Round

        return Round
    if name == "__version__":
        from importlib.metadata import version

        return version("tunebook")
    raise AttributeError(f"module 'tunebook' has no attribute {name!r}")

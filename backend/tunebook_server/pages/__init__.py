"""HTML over HTTP: every view is a link that can be shared and reloaded."""

from fastapi import APIRouter

from tunebook_server.pages import (
    assets,
    compare,
    login,
    new_study,
    plots,
    projects,
    report,
    rounds,
    studies,
    study_trials,
    trial_logs,
    trials,
    workers,
)

PARTS = (
    assets,
    login,
    projects,
    rounds,
    studies,
    study_trials,
    compare,
    plots,
    report,
    trials,
    trial_logs,
    new_study,
    workers,
)
router = APIRouter(
    routes=[route for part in PARTS for route in part.router.routes],
    include_in_schema=False,
    lifespan=assets.lifespan,
)

__all__ = ["router"]

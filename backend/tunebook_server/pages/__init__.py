"""HTML over HTTP: every view is a link that can be shared and reloaded."""

from fastapi import APIRouter

from tunebook_server.pages import (
    assets,
    login,
    new_study,
    plots,
    projects,
    report,
    rounds,
    studies,
    trials,
    workers,
)

router = APIRouter(include_in_schema=False)
for part in (assets, login, projects, rounds, studies, plots, report, trials, new_study, workers):
    router.include_router(part.router)

__all__ = ["router"]

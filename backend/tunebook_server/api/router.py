"""All of the API under one prefix."""

from fastapi import APIRouter

from tunebook_server.api import (
    attempts,
    checkpoints,
    comparisons,
    events,
    figures,
    findings,
    health,
    logins,
    logs,
    metrics,
    openapi,
    projects,
    prometheus,
    removals,
    reports,
    rounds,
    studies,
    templates,
    trials,
    workers,
)

PREFIX = "/api/v1"

router = APIRouter()
# Routes are tried in order: what jobs send all the time comes first.
for part in (
    metrics,
    attempts,
    logs,
    checkpoints,
    trials,
    studies,
    figures,
    findings,
    comparisons,
    events,
    projects,
    reports,
    rounds,
    templates,
    workers,
    removals,
    logins,
    openapi,
):
    router.include_router(part.router, prefix=PREFIX)
router.include_router(health.router)
router.include_router(prometheus.router)

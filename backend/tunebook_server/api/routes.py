"""All routes of the API."""

from starlette.routing import BaseRoute

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

# One list: routers in routers are gone through once for each that a route is in. What jobs send all the time
# comes first.
routes: list[BaseRoute] = [
    route
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
        health,
        prometheus,
    )
    for route in part.router.routes
]

"""All of the API under one prefix."""

from fastapi import APIRouter

from tunebook_server.api import health, logins
from tunebook_server.api.schemas import Problem

PREFIX = "/api/v1"

_problem = {"model": Problem, "description": "A problem document (RFC 9457)."}

router = APIRouter(responses={"default": _problem})
router.include_router(health.router)
for part in (logins,):
    router.include_router(part.router, prefix=PREFIX)

"""Who may call a route: each dependency here is a policy, and every route declares exactly one.

Anyone                 on the written list of open routes
person("study:read")   a session or a personal token with the scopes
worker                 a worker's token
own_trial              the token of the very trial in the path
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from tunebook_server.api.schemas import Id
from tunebook_server.domain.access import Principal
from tunebook_server.domain.errors import Forbidden
from tunebook_server.services import access
from tunebook_server.storage.engine import Engine

COOKIE = "tunebook_session"
BEARER = "bearer "


def cookie_name(*, secure: bool, port: int) -> str:
    """`__Host-` binds the cookie to this host over TLS; else ports share cookies, so the port is named."""
    return f"__Host-{COOKIE}" if secure else f"{COOKIE}_{port}"


def bearer_of(request: Request) -> str | None:
    sent = request.headers.get("authorization", "")
    return sent[len(BEARER) :].strip() if sent[: len(BEARER)].lower() == BEARER else None


def session_of(request: Request) -> str | None:
    return request.cookies.get(request.app.state.cookie_name)


def recognise(request: Request) -> Principal:
    """The principal of this request, looked up once."""
    known: Principal | None = getattr(request.state, "principal", None)
    if known is None:
        engine: Engine = request.app.state.engine
        known = access.authenticate(engine, bearer=bearer_of(request), session=session_of(request))
        request.state.principal = known
    return known


async def engine_of(request: Request) -> Engine:
    """The engine for the use case: under an Idempotency-Key the transaction that also keeps the answer."""
    engine: Engine = getattr(request.state, "engine", request.app.state.engine)
    return engine


async def anyone() -> None:
    """An open route: it stands on the list in tests/api/test_access.py."""


def person(*scopes: str) -> Callable[[Request], Principal]:
    def allow(request: Request) -> Principal:
        principal = recognise(request)
        if principal.kind != "person":
            raise Forbidden("This is for people.", remedy="Use a session or a personal token.")
        for scope in scopes:
            principal.require(scope)
        return principal

    allow.scopes = scopes  # type: ignore[attr-defined]
    return allow


def worker(request: Request) -> Principal:
    principal = recognise(request)
    if principal.kind != "worker":
        raise Forbidden("This is for workers.", remedy="Use a worker's token.")
    return principal


def own_trial(request: Request, trial_id: Id) -> Principal:
    principal = recognise(request)
    if principal.kind != "trial":
        raise Forbidden("This is for the trial itself.", remedy="Use the token that came with its claim.")
    if principal.trial_id != trial_id:
        raise Forbidden("This token is another trial's.", remedy="Use the token that came with its claim.")
    return principal


Database = Annotated[Engine, Depends(engine_of)]
Open = Depends(anyone)
Reader = Annotated[Principal, Depends(person("study:read"))]
Writer = Annotated[Principal, Depends(person("study:write"))]
Reporter = Annotated[Principal, Depends(own_trial)]
WorkerItself = Annotated[Principal, Depends(worker)]

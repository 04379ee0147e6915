"""Who may call a route: each dependency here is a policy, and every route declares exactly one.

Anyone                 on the written list of open routes
person("study:read")   a session or a personal token with the scopes
worker                 a worker's token
own_trial              the token of the very trial in the path
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from tunebook_server.api.asking import Asking
from tunebook_server.domain.access import Principal, PrincipalKind
from tunebook_server.domain.errors import Forbidden
from tunebook_server.services import access
from tunebook_server.storage.engine import Engine

COOKIE = "tunebook_session"
BEARER = "bearer "
ASKS = ("trial:report",)
"""Scopes of who asks for trials."""


def cookie_name(*, secure: bool, port: int) -> str:
    """`__Host-` binds the cookie to this host over TLS; else ports share it, so the port is named."""
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


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom a route lets in: `kinds` of principals (none: everybody), holding all of `scopes`."""

    kinds: tuple[PrincipalKind, ...]
    scopes: tuple[str, ...] = ()


Dependency = TypeVar("Dependency", bound=Callable[..., object])


def _policy(*kinds: PrincipalKind, scopes: tuple[str, ...] = ()) -> Callable[[Dependency], Dependency]:
    def mark(dependency: Dependency) -> Dependency:
        dependency.policy = Policy(kinds, scopes)  # type: ignore[attr-defined]
        return dependency

    return mark


def policies_of(dependant: Dependant) -> Iterator[Policy]:
    """The policies among all dependencies of a route: there must be exactly one."""
    found = getattr(dependant.call, "policy", None)
    if isinstance(found, Policy):
        yield found
    for inner in dependant.dependencies:
        yield from policies_of(inner)


@_policy()
async def anyone() -> None:
    """An open route: it stands on the list in tests/api/test_access.py."""


@_policy("person", "worker", "trial")
def anybody(request: Request) -> Principal:
    return recognise(request)


def person(*scopes: str) -> Callable[[Request], Principal]:
    @_policy("person", scopes=scopes)
    def allow(request: Request) -> Principal:
        return _person_with(scopes, recognise(request))

    return allow


@_policy("person", scopes=ASKS)
async def asker(request: Request) -> Principal:
    """`person("trial:report")`, looked up together with others who ask of the study just now."""
    credential = access.Credential(bearer_of(request), session_of(request))
    asking: Asking = request.app.state.asking
    request.state.principal = await asking.recognise(request.path_params["study_id"], credential)
    return _person_with(ASKS, request.state.principal)


def _person_with(scopes: Sequence[str], principal: Principal) -> Principal:
    if principal.kind != "person":
        raise Forbidden("This is for people.", remedy="Use a session or a personal token.")
    for scope in scopes:
        principal.require(scope)
    return principal


@_policy("worker")
def worker(request: Request) -> Principal:
    principal = recognise(request)
    if principal.kind != "worker":
        raise Forbidden("This is for workers.", remedy="Use a worker's token.")
    return principal


@_policy("trial")
def own_trial(request: Request) -> Principal:
    principal = recognise(request)
    if principal.kind != "trial":
        raise Forbidden("This is for the trial itself.", remedy="Use the token that came with its claim.")
    if str(principal.trial_id) != request.path_params["trial_id"]:
        raise Forbidden("This token is another trial's.", remedy="Use the token that came with its claim.")
    return principal


@_policy("trial")
async def own_trial_here(request: Request) -> Callable[[], Principal]:
    """`own_trial`, for the endpoint to call first of all: it saves every report a change of threads."""
    return partial(own_trial, request)


Database = Annotated[Engine, Depends(engine_of)]
Open = Depends(anyone)
Anybody = Annotated[Principal, Depends(anybody)]
Asker = Annotated[Principal, Depends(asker)]
Reader = Annotated[Principal, Depends(person("study:read"))]
Writer = Annotated[Principal, Depends(person("study:write"))]
Reporter = Annotated[Principal, Depends(own_trial)]
ReporterHere = Annotated[Callable[[], Principal], Depends(own_trial_here)]
WorkerItself = Annotated[Principal, Depends(worker)]

"""Logins, sessions and tokens."""

from typing import Annotated

from fastapi import Depends, Request, Response

from tunebook_server.api.access import Anybody, Database, Open, person, session_of
from tunebook_server.api.route import answers_secret, router_of
from tunebook_server.api.schemas import Cursor, Done, Id, Limit, Listing
from tunebook_server.api.schemas.access import (
    LoginIn,
    NewToken,
    PrincipalOut,
    TokenIn,
    TokenOut,
    WorkerTokenIn,
)
from tunebook_server.api.schemas.trials import Nothing
from tunebook_server.domain.access import Principal, Token
from tunebook_server.domain.errors import Forbidden
from tunebook_server.domain.paging import Page
from tunebook_server.services import access as service

router = router_of("access")

Person = Annotated[Principal, Depends(person())]
TokenMaker = Annotated[Principal, Depends(person("member:admin"))]


@router.post("/login", operation_id="login", dependencies=[Open])
@answers_secret
def login(body: LoginIn, request: Request, response: Response, engine: Database) -> PrincipalOut:
    """Trade a one-time code for a session cookie."""
    address = request.client.host if request.client else ""
    secret, _ = service.login(engine, code=body.code, address=address)
    state = request.app.state
    response.set_cookie(
        state.cookie_name,
        secret,
        max_age=int(service.SESSION_LIFETIME.total_seconds()),
        path="/",
        secure=state.secure or request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return PrincipalOut.model_validate(service.authenticate(engine, bearer=None, session=secret))


@router.post("/logout", operation_id="logout")
@answers_secret
def logout(_: Nothing, request: Request, response: Response, engine: Database, principal: Person) -> Done:
    """End this session."""
    session = session_of(request)
    if session is None:
        raise Forbidden("There is no session to end.", remedy="Revoke the token instead.")
    service.logout(engine, principal=principal, session=session)
    response.delete_cookie(request.app.state.cookie_name, path="/")
    return Done()


@router.get("/me", operation_id="me", response_model=PrincipalOut)
def me(principal: Anybody) -> Principal:
    """Whose credential this is, and what it may do."""
    return principal


@router.get("/tokens", operation_id="list_tokens", response_model=Listing[TokenOut])
def tokens(engine: Database, principal: Person, limit: Limit = 100, cursor: Cursor = None) -> Page[Token]:
    """The live personal tokens of this person and the tokens of workers, newest first."""
    return service.page_tokens(engine, principal=principal, limit=limit, cursor=cursor)


@router.post("/tokens", operation_id="create_token", status_code=201)
@answers_secret
def create_token(body: TokenIn, engine: Database, principal: TokenMaker) -> NewToken:
    """Make a personal token. Its secret is in this answer and nowhere else."""
    scopes = sorted(principal.scopes) if body.scopes is None else body.scopes
    secret, token = service.create_token(
        engine, principal=principal, name=body.name, scopes=scopes, expires_in_days=body.expires_in_days
    )
    return NewToken(token=secret, id=token.id, expires_at=token.expires_at)


@router.post("/worker-tokens", operation_id="create_worker_token", status_code=201)
@answers_secret
def create_worker_token(body: WorkerTokenIn, engine: Database, principal: TokenMaker) -> NewToken:
    """Make the token of a worker; an earlier one for this name stops working."""
    return NewToken(token=service.create_worker_token(engine, name=body.name, actor=principal.actor))


@router.delete("/tokens/{token_id}", operation_id="revoke_token")
def revoke_token(token_id: Id, engine: Database, principal: TokenMaker) -> Done:
    """Revoke a token: refused from the next request on."""
    service.revoke_token(engine, principal=principal, token_id=token_id)
    return Done()

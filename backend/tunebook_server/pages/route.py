"""What every page does before and after: a login where there is none, errors as pages that say what to do."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from tunebook_server.domain.access import Principal
from tunebook_server.domain.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Stale,
    TunebookError,
    Unauthenticated,
)
from tunebook_server.pages.rendering import address, render
from tunebook_server.storage.engine import Engine

# The API numbers errors in a table of its own; pages and API do not import each other.
STATUS: tuple[tuple[type[TunebookError], int], ...] = (
    (Invalid, 422),
    (NotFound, 404),
    (Stale, 412),
    (Forbidden, 403),
    (TunebookError, 409),
)


class PageRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except Unauthenticated:
                return to_login(request)
            except RequestValidationError:
                return failed(request, NotFound("there is no such page"))
            except TunebookError as error:
                return failed(request, error)

        return handle


def to_login(request: Request) -> Response:
    """To the login, and back to this very page afterwards."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = here if request.method == "GET" and here != "/" else ""
    return RedirectResponse(address("/login", next=back), 303)


def failed(request: Request, error: TunebookError) -> Response:
    status = next(number for kind, number in STATUS if isinstance(error, kind))
    return render(request, "error.html", status=status, error=error, code=status)


def person(request: Request) -> Principal:
    """The person who looks; the application has put whoever it is into the request."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise Unauthenticated("Log in first.")
    if principal.kind != "person":
        raise Forbidden("Pages are for people.", remedy="Use the API with this token.")
    principal.require("study:read")
    return principal


def session_of(request: Request) -> str | None:
    return request.cookies.get(request.app.state.cookie_name)


def engine_of(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


Person = Annotated[Principal, Depends(person)]
Database = Annotated[Engine, Depends(engine_of)]

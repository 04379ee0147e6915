"""The door: a one-time code, printed where the server was started, becomes a session."""

import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from tunebook_server.domain.errors import TunebookError
from tunebook_server.pages.rendering import render
from tunebook_server.pages.route import PageRoute, session_of
from tunebook_server.services import access

router = APIRouter(route_class=PageRoute)

# One slash and then no other, no backslash, no control character: never another site's address.
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


@router.get("/login")
def login(request: Request, next: str = "") -> Response:  # noqa: A002 — the name in the address
    return render(request, "login.html", back=own_path(next))


@router.post("/logout")
def logout(request: Request) -> Response:
    engine, session = request.app.state.engine, session_of(request)
    try:
        if session is not None:
            principal = access.authenticate(engine, bearer=None, session=session)
            access.logout(engine, principal=principal, session=session)
    except TunebookError:
        pass  # the session is over already, which is what was asked for
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(request.app.state.cookie_name, path="/")
    return answer


def own_path(path: str) -> str:
    """The path, if it is one of this server; else the front page."""
    return path if _OWN_PATH.fullmatch(path) else "/"

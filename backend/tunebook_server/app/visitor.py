"""Pages are for people who are logged in: checked before any page's own code runs."""

from fastapi import Request

from tunebook_server.api.access import recognise

OPEN_PAGES = ("/login", "/logout")
OPEN_FOLDERS = ("/static/",)


def visitor(request: Request) -> None:
    """Puts the principal into `request.state`.

    Raises Unauthenticated (a page answers with the way to the login), unless the page is the login itself
    or a file without secrets.
    """
    path = request.scope["path"]
    if path not in OPEN_PAGES and not path.startswith(OPEN_FOLDERS):
        recognise(request)

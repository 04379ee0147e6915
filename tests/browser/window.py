"""A server and a window on it: what the tests of pages look through."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import uvicorn
from playwright.sync_api import BrowserContext, Page, Request, Response
from sqlalchemy import Engine

from tests.chromium import PATIENCE_MS
from tunebook_server.app import create_app
from tunebook_server.services import access
from tunebook_server.settings import Settings

READY = """() => {
  const views = [...document.querySelectorAll('figure-view')];
  const near = views.filter(view => view.checkVisibility() && view.getBoundingClientRect().top < innerHeight);
  return near.every(view => view.dataset.state !== 'loading');
}"""


UNFOLD = "document.querySelectorAll('.finding details, .passed').forEach((each) => { each.open = true; })"


@dataclass
class Site:
    url: str
    engine: Engine
    studies: dict[int, int]
    """By number of trials the id of the study."""
    round: int = 0
    cookie: str = ""

    def study(self, trials: int) -> str:
        return f"{self.url}/studies/{self.studies[trials]}"


@dataclass
class Visit:
    """A page and what went wrong on it."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(path if path.startswith("http") else self.url + path)
        self.page.wait_for_function(READY, timeout=PATIENCE_MS)
        return self.page


@contextlib.contextmanager
def serving(engine: Engine) -> Iterator[str]:
    """The real application behind uvicorn, in a thread."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = uvicorn.Config(
        create_app(engine, Settings(port=port)), port=port, log_config=None, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def log_in(context: BrowserContext, site: Site) -> None:
    """One code serves all tests: the session's cookie is kept."""
    if not site.cookie:
        secret, _ = access.login(site.engine, code=access.issue_login_code(site.engine), address="test")
        site.cookie = secret
    port = site.url.rpartition(":")[2]
    context.add_cookies([{"name": f"tunebook_session_{port}", "value": site.cookie, "url": site.url}])


def watch(made: Visit) -> None:
    """Notes errors, refusals by the CSP, failed answers, and requests that leave the site."""

    def on_request(request: Request) -> None:
        made.requests.append(request.url)
        if not request.url.startswith((made.url, "data:", "blob:")):
            made.problems.append(f"off-site request {request.url}")

    def on_response(response: Response) -> None:
        if response.status >= 400:
            made.problems.append(f"{response.status} {response.url}")

    page = made.page
    page.on("pageerror", lambda error: made.problems.append(f"script error {error}"))
    page.on("request", on_request)
    page.on("response", on_response)
    page.on(
        "console",
        lambda message: made.problems.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("dialog", lambda dialog: made.problems.append(f"dialog {dialog.message}"))

"""One server, one Chromium and four studies (0, 1, 48 and 10,000 trials) for all tests of the pages."""

from collections.abc import Callable, Iterator
from typing import Literal

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.window import Site, Visit, log_in, serving, watch
from tests.scale import build
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import access, rounds, studies
from tunebook_server.storage.engine import Engine, connect


@pytest.fixture(scope="session")
def site(postgres: Postgres) -> Iterator[Site]:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(b"CREATE DATABASE browser TEMPLATE template")
    engine = connect(postgres.url("browser"))
    access.ensure_owner(engine)
    study_ids = {
        trials: build(engine, trials=trials, running=2 * (trials == 48)) for trials in (0, 1, 48, 10_000)
    }
    with serving(engine) as url:
        yield Site(url, engine, study_ids, made_round(engine, study_ids))
    engine.dispose()


def made_round(engine: Engine, study_ids: dict[int, int]) -> int:
    """A round of the three small studies."""
    name, goal = "optimizer", "Which optimizer trains best, when each is tuned fairly?"
    made = rounds.create(engine, project_id=1, name=name, goal=goal, actor="user:x")
    for trials in (0, 1, 48):
        studies.edit(engine, study_id=study_ids[trials], changes={"round": made.id}, actor="user:x")
    return made.id


@pytest.fixture
def visit(site: Site, browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens a logged-in window; at the end nothing may have gone wrong in any of them."""
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    def start(*, at: Site = site, width: int = 1280, dark: bool = False, login: bool = True) -> Visit:
        scheme: Literal["dark", "light"] = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        if login:
            log_in(context, at)
        made = Visit(context.new_page(), at.url)
        watch(made)
        visits.append(made)
        return made

    yield start
    for context in contexts:
        context.close()
    assert [problem for made in visits for problem in made.problems] == []

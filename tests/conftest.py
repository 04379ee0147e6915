"""A real Postgres for every test that asks: one cluster a test process, one cloned database a test."""

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser
from sqlalchemy import Engine

from tests import chromium
from tests.chromium import pytest_terminal_summary
from tests.promises import options
from tests.promises.options import pytest_addoption
from tests.template import make_template
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import suggesting
from tunebook_server.storage.engine import connect

# A busy machine is no fault of the code: examples are limited by number, never by time. In CI they are the
# same each time, so that a change is judged by what it changed; everywhere else they are new.
settings.register_profile(
    "unhurried",
    settings.get_profile("ci" if os.environ.get("CI") else "default"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unhurried")

# Two test processes share two cores: BLAS threads that wait for one another would spin on them.
suggesting.use_one_core()

# A shell has what it starts in the background ignore Ctrl-C, nohup a closed terminal; children would inherit
# that. A handler of our own is not inherited, and ignores as well.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# hooks are found by their names
__all__ = ["pytest_addoption", "pytest_terminal_summary"]

_names = itertools.count()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chromium.choose(config, items)
    options.choose(config, items)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The cluster of this test process, with the migrated database `template`."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    server = Postgres(folder, settings={"fsync": "off", "max_connections": "200"})
    server.start()
    make_template(server)
    yield server
    server.stop()


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    name = f"test_{next(_names)}"
    _execute(postgres, f"CREATE DATABASE {name} TEMPLATE template STRATEGY FILE_COPY")  # half the time
    yield postgres.url(name)
    _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium a test process; a test opens contexts of its own."""
    yield from chromium.launched()


def _execute(server: Postgres, statement: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())

"""One Tunebook for the tests of this folder that need a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Live, tunebook
from tunebook.client import Client
from tunebook_server.embedded.postgres import Postgres


@pytest.fixture(scope="session")
def live(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with tunebook(postgres, tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture
def client(live: Live, tmp_path: Path) -> Iterator[Client]:
    client = Client(live.url, live.api._token, spool=tmp_path / "spool")
    yield client
    client.close()

"""One whole Tunebook for the journey: server, control worker and, in the test, a GPU worker."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.live import Live, tunebook
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.storage.engine import connect


@pytest.fixture
def live(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with tunebook(postgres, tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture
def database(live: Live) -> Iterator[Engine]:
    """What the server itself reads and writes."""
    engine = connect(live.database_url)
    yield engine
    engine.dispose()

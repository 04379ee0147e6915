"""One Tunebook for the tests of this folder; each test starts workers of its own."""

from collections.abc import Iterator

import pytest

from tests.live import Live, tunebook
from tunebook_server.embedded.postgres import Postgres


@pytest.fixture(scope="session")
def whole(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with tunebook(postgres, tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture
def live(whole: Live) -> Iterator[Live]:
    yield whole
    whole.clear()

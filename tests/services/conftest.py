"""Settings that services under test read."""

from collections.abc import Iterator

import pytest

from tests.services.lifecycle_model import AHEAD
from tunebook_server.settings import settings


@pytest.fixture
def lifecycle_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TUNEBOOK_SAMPLE_AHEAD", str(AHEAD))
    settings.cache_clear()
    yield
    settings.cache_clear()

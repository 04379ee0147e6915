"""A site with one of everything, for each test that asks."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.api.site import Site, World, populate
from tunebook_server.app import logs


@pytest.fixture
def site(engine: Engine) -> Iterator[Site]:
    logs.configure()
    site = Site(engine)
    yield site
    site.close()


@pytest.fixture
def world(site: Site) -> World:
    return populate(site)

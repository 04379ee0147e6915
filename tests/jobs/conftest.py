"""A publisher on the test's own database, and what it has sent."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from tunebook_server import broker
from tunebook_server.settings import Settings


@pytest.fixture
def publisher(database_url: str) -> Iterator[None]:
    broker.configure(Settings.model_validate({"database_url": database_url}))
    yield
    broker.close()


def sent(engine: Engine, queue: str) -> list[int]:
    """The first argument of each message in the queue, oldest first, after everything that waits was sent."""
    query = text(
        "SELECT (convert_from(decode(payload ->> 'body', 'base64'), 'utf8')::json -> 0 ->> 0)::integer"
        " FROM broker_messages WHERE queue = :queue ORDER BY id"
    )
    broker.flush()
    with engine.connect() as connection:
        return list(connection.scalars(query, {"queue": queue}))

"""A server on an embedded database of its own, to photograph."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from tests.browser.window import Site, serving
from tunebook_server.embedded.postgres import Postgres, make_database
from tunebook_server.services import access
from tunebook_server.storage.engine import connect
from tunebook_server.storage.migrate import migrate


@contextmanager
def served() -> Iterator[tuple[Engine, Site]]:
    with tempfile.TemporaryDirectory(prefix="tunebook-shots-") as place:
        postgres = Postgres(Path(place))
        postgres.start()
        try:
            make_database(postgres)
            engine = connect(postgres.url())
            migrate(engine)
            access.ensure_owner(engine)
            with serving(engine) as url:
                yield engine, Site(url, engine, {})
            engine.dispose()
        finally:
            postgres.stop()

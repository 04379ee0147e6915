"""Use case: which studies have changed lately."""

from datetime import datetime, timedelta

from tunebook_server.services.studies import CHANGED_MOST
from tunebook_server.storage import clock, studies
from tunebook_server.storage.engine import Engine, transaction

OVERLAP = timedelta(seconds=10)
"""A change becomes visible after the time it wrote down, by as long as its commit takes."""


class Watch:
    """Looks again and again, by the database's clock alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._looked_at: datetime | None = None

    def recent(self) -> dict[int, int]:
        """Revision by study of what changed since 10 s before the last look: some come again."""
        with transaction(self._engine) as connection:
            now = clock.now(connection)
            since = (self._looked_at or now) - OVERLAP
            found = dict(studies.changed_since(connection, since, CHANGED_MOST))
        self._looked_at = now
        return found

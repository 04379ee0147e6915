"""The one clock that counts: the database's."""

from datetime import datetime
from typing import cast

from sqlalchemy import extract, func, select, update

from tunebook_server.storage.engine import Connection
from tunebook_server.storage.tables import server


def now(connection: Connection) -> datetime:
    return cast(datetime, connection.execute(select(func.clock_timestamp())).scalar_one())


def began(connection: Connection) -> datetime:
    """When the transaction began that `connection` is in."""
    return connection.execute(select(func.now())).scalar_one()


def swept(connection: Connection) -> float:
    """Notes that a sweep passes now; the seconds since the last one did."""
    since = extract("epoch", func.clock_timestamp() - server.c.swept_at)
    seconds = float(connection.execute(select(since).with_for_update()).scalar_one())
    connection.execute(update(server).values(swept_at=func.clock_timestamp()))
    return seconds

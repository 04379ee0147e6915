"""The one clock that counts: the database's."""

from datetime import datetime
from typing import cast

from sqlalchemy import func, select

from tunebook_server.storage.engine import Connection


def now(connection: Connection) -> datetime:
    return cast(datetime, connection.execute(select(func.clock_timestamp())).scalar_one())


def began(connection: Connection) -> datetime:
    """When the transaction began that `connection` is in."""
    return connection.execute(select(func.now())).scalar_one()

"""The connection to Postgres: one engine a process, one transaction a unit of work."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection, Engine, create_engine

from tunebook_server.storage import arrays

__all__ = ["Connection", "Engine", "connect", "transaction"]

POOL_SIZE = 20
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000


def connect(database_url: str, *, pool_size: int = POOL_SIZE) -> Engine:
    """An engine on `postgresql://…`; statements and lock waits are bounded."""
    arrays.register(psycopg.adapters)
    return create_engine(
        database_url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
            " -c timezone=UTC",
        },
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction, committed when the block ends, rolled back when it raises."""
    with engine.begin() as connection:
        yield connection

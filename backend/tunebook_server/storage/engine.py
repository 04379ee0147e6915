"""The connection to Postgres: one engine a process, one transaction a unit of work."""

import select
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import ClauseElement, Connection, Dialect, Engine, create_engine, event
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect
from sqlalchemy.exc import InvalidatePoolError

from tunebook_server.storage import arrays

__all__ = [
    "Connection",
    "Engine",
    "autocommit",
    "connect",
    "fetch_row",
    "straight",
    "text_of",
    "transaction",
]

POOL_SIZE = 20
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000

_DIALECT: Dialect = psycopg_dialect.dialect()  # type: ignore[no-untyped-call]


def connect(database_url: str, *, pool_size: int = POOL_SIZE) -> Engine:
    """An engine on `postgresql://…`; statements and lock waits are bounded."""
    arrays.register(psycopg.adapters)
    engine = create_engine(
        database_url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        connect_args={
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
            " -c timezone=UTC",
        },
    )
    event.listen(engine, "checkout", _refuse_dead)
    return engine


def _refuse_dead(dbapi_connection: psycopg.Connection[object], record: object, fairy: object) -> None:
    """Has the pool replace its connections when the server has closed this one.

    A closed connection has something to read: asking the socket costs a microsecond, asking the server a
    round trip for every request.
    """
    readable = select.poll()
    if not dbapi_connection.closed:
        readable.register(dbapi_connection.fileno(), select.POLLIN)
    if dbapi_connection.closed or readable.poll(0):
        raise InvalidatePoolError("the server has closed the connection")


def straight(
    connection: Connection, statement: LiteralString, values: Mapping[str, object]
) -> psycopg.Cursor[Any]:
    """A constant statement, straight through psycopg; its rows are named tuples.

    For what every report or ask runs: SQLAlchemy's own part of a small statement costs more CPU than the
    statement.
    """
    cursor = _driver(connection).cursor(row_factory=namedtuple_row)
    return cursor.execute(statement, values)


def text_of(statement: ClauseElement) -> LiteralString:
    """Of a statement, to run it `straight`."""
    return str(statement.compile(dialect=_DIALECT))


def fetch_row(
    connection: Connection, statement: LiteralString, values: Mapping[str, object]
) -> tuple[Any, ...] | None:
    """The one row of a constant statement, `straight`."""
    return _driver(connection).execute(statement, values).fetchone()


def _driver(connection: Connection) -> psycopg.Connection[tuple[Any, ...]]:
    return connection.connection.driver_connection  # type: ignore[return-value]


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction, committed when the block ends, rolled back when it raises."""
    with engine.begin() as connection:
        yield connection


@contextmanager
def autocommit(engine: Engine) -> Iterator[Connection]:
    """A connection whose statements each stand alone: one of them then costs one round trip, not three."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection

"""A database out of pg_restore's script, inside one transaction of ours: all of it, or nothing happened.

psql could run the script in a transaction too, but nobody could look at the rows before it commits.
"""

from collections.abc import Iterator
from itertools import chain

import psycopg
from sqlalchemy import Connection, text

from tunebook_server.storage.tables import metadata

Driver = psycopg.Connection[tuple[object, ...]]

_MINE = frozenset(metadata.tables) | {"alembic_version"}
# Guards of psql and a setting of Postgres 17 that an older server does not know: neither is SQL for us.
_SKIPPED = (b"\\restrict ", b"\\unrestrict ", b"SET transaction_timeout ")


def others_connected(connection: Connection) -> list[str]:
    """Who else uses this database, as an operator would name them."""
    query = """
        SELECT coalesce(nullif(application_name, ''), usename::text, 'somebody') || ' (process ' || pid || ')'
          FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
         ORDER BY pid
    """
    return list(connection.execute(text(query)).scalars())


def tables_there(connection: Connection) -> tuple[list[str], list[str]]:
    """Tables of the schema public: Tunebook's, and those of others."""
    query = """
        SELECT relname FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1
    """
    found = list(connection.execute(text(query)).scalars())
    return [name for name in found if name in _MINE], [name for name in found if name not in _MINE]


def empty(connection: Connection) -> None:
    """Drops Tunebook's tables and functions, until the transaction ends in another way."""
    mine, _ = tables_there(connection)
    functions = """
        SELECT oid::regprocedure::text FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p')
           AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    """
    for table in mine:
        connection.execute(text(f'DROP TABLE IF EXISTS public."{table}" CASCADE'))
    for routine in connection.execute(text(functions)).scalars().all():
        connection.exec_driver_sql(f"DROP ROUTINE IF EXISTS {routine} CASCADE")


def load(connection: Connection, script: Iterator[bytes]) -> None:
    """Runs what `pg_restore --file=-` writes, line by line. Raises psycopg.Error."""
    driver: Driver = connection.connection.driver_connection  # type: ignore[assignment]
    statements: list[bytes] = []
    for line in script:
        if line.startswith(b"COPY ") and line.rstrip().endswith(b" FROM stdin;"):
            _execute(driver, statements)
            _copy(driver, line, script)
        elif not line.startswith(_SKIPPED):
            statements.append(line)
    _execute(driver, statements)
    # The script's own settings (no search_path, no timeouts) end with it.
    driver.execute("RESET ALL")


def analyze(connection: Connection) -> None:
    """pg_restore brings no statistics along, and a plan without any is a bad one."""
    connection.exec_driver_sql("ANALYZE")


def _execute(driver: Driver, statements: list[bytes]) -> None:
    if any(line.strip() and not line.startswith(b"--") for line in statements):
        driver.execute(b"".join(statements), prepare=False)
    statements.clear()


def _copy(driver: Driver, statement: bytes, script: Iterator[bytes]) -> None:
    first = next(script, None)
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for line in chain([first] if first is not None else [], script):
            if line == b"\\.\n":
                return
            copy.write(line)
    raise psycopg.DataError("the data of a table breaks off")

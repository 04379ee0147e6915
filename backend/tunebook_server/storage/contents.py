"""What a database holds, as counts and one hash: equal before a backup and after its restore.

The canonical order: tables by name; of each its name and its columns in order, then of each row the SHA-256
of its text (`ROW::text` in UTC, ISO dates, shortest exact floats, hex bytes), sorted. So neither the place of
a row on disk nor a collation matters. Left out is what no backup carries: `NOT_KEPT`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

NOT_KEPT = ("broker_bindings", "broker_messages", "login_attempts", "login_codes", "sessions")
"""Hints are worth nothing, and nobody stays logged in over a restore."""

_FETCHED_ROWS = 10_000
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
}


@dataclass(frozen=True, slots=True)
class Contents:
    counts: dict[str, int]
    sha256: str


def unhurried(connection: Connection) -> None:
    """Statements of this transaction may take as long as they need: they grow with the database."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def share_snapshot(connection: Connection) -> str:
    """What another session names to see the database as this transaction does (REPEATABLE READ)."""
    return str(connection.execute(text("SELECT pg_export_snapshot()")).scalar_one())


def server_major(connection: Connection) -> int:
    return int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000


def generation(connection: Connection) -> str:
    return str(connection.execute(text("SELECT generation FROM server")).scalar_one())


def measure(connection: Connection) -> Contents:
    """Reads every row, inside the transaction that `connection` is in."""
    for name, value in _SETTINGS.items():
        connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
    counts: dict[str, int] = {}
    whole = hashlib.sha256()
    for table, columns in _tables(connection):
        whole.update(f"{table}({columns})\n".encode())
        counts[table] = 0
        for row_hash in _row_hashes(connection, table):
            whole.update(row_hash)
            counts[table] += 1
    return Contents(counts, whole.hexdigest())


def _tables(connection: Connection) -> list[tuple[str, str]]:
    query = """
        SELECT relname, string_agg(quote_ident(attname), ',' ORDER BY attnum)
          FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
           AND attnum > 0 AND NOT attisdropped AND relname <> ALL (:not_kept)
         GROUP BY relname ORDER BY relname COLLATE "C"
    """
    return [tuple(row) for row in connection.execute(text(query), {"not_kept": list(NOT_KEPT)})]


def _row_hashes(connection: Connection, table: str) -> Iterator[bytes]:
    quoted = connection.dialect.identifier_preparer.quote_identifier(table)
    query = f"SELECT sha256(convert_to(kept::text, 'UTF8')) FROM public.{quoted} AS kept ORDER BY 1"  # noqa: S608 (a name out of the catalogue, quoted)
    rows = connection.execute(text(query), execution_options={"yield_per": _FETCHED_ROWS})
    for (row_hash,) in rows:
        yield bytes(row_hash)

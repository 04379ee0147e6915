"""Idempotency keys: an answer is stored in the very transaction whose effect it tells."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from sqlalchemy import func, insert, select

from tunebook_server.storage.engine import Connection, Engine
from tunebook_server.storage.tables import idempotency_keys


class OneTransaction:
    """Stands in for an engine so that a use case joins a transaction that is already open: its own becomes a
    savepoint, and nothing of it is kept unless the outer one commits."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def as_engine(self) -> Engine:
        return cast(Engine, self)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self.connection.begin_nested():
            yield self.connection

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        yield self.connection


def try_lock(connection: Connection, *, actor: str, key: str) -> bool:
    """False while another transaction works under this key. The lock ends with the transaction."""
    lock = func.hashtextextended(f"{actor}\n{key}", 0)
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(lock))).scalar_one())


def find(
    connection: Connection, *, actor: str, key: str
) -> tuple[bytes, int, bytes, Mapping[str, str]] | None:
    """(request hash, status, body, headers) of the answer that was stored under this key."""
    row = connection.execute(
        select(
            idempotency_keys.c.request_hash,
            idempotency_keys.c.status,
            idempotency_keys.c.body,
            idempotency_keys.c.headers,
        ).where(idempotency_keys.c.actor == actor, idempotency_keys.c.key == key)
    ).one_or_none()
    return None if row is None else (bytes(row[0]), row[1], bytes(row[2]), row[3])


def store(
    connection: Connection,
    *,
    actor: str,
    key: str,
    request_hash: bytes,
    status: int,
    body: bytes,
    headers: Mapping[str, str],
) -> None:
    connection.execute(
        insert(idempotency_keys).values(
            actor=actor, key=key, request_hash=request_hash, status=status, body=body, headers=dict(headers)
        )
    )

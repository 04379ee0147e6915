"""Where users, login codes, sessions and tokens are kept: secrets as SHA-256 hashes only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
from sqlalchemy import Column, RowMapping, Select, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tunebook_server.domain.access import Token, TokenKind, User, new_token, secret_hash
from tunebook_server.storage.arrays import Blobs, Integers, Texts
from tunebook_server.storage.engine import Connection, fetch_row, straight
from tunebook_server.storage.tables import (
    login_attempts,
    login_codes,
    server,
    sessions,
    tokens,
    users,
    workers,
)

OWNER = "owner"
_ATTEMPTS_LOCK = 0x7475_6C6F  # "tulo": the first key of advisory locks on login attempts
_USE_NOTED_AFTER = timedelta(minutes=1)
"""last_seen_at and last_used_at are kept to the minute: one write a minute, not one a request."""


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A live token with what stands behind it; `current`: minted for this generation of the database."""

    id: int
    kind: TokenKind
    name: str
    scopes: tuple[str, ...]
    user: User | None
    worker_id: int | None
    trial_id: int | None
    epoch: int | None
    current: bool
    use_is_old: bool


def ping(connection: Connection) -> None:
    connection.execute(select(server.c.only_row)).one()


def ensure_owner(connection: Connection) -> User:
    """The one person of a new installation; the same one on every call."""
    connection.execute(upsert(users).values(name=OWNER, is_admin=True).on_conflict_do_nothing())
    row = connection.execute(select(users).where(users.c.name == OWNER)).mappings().one()
    return _user(row)


def add_login_code(connection: Connection, *, user_id: int, code_hash: bytes, lifetime: timedelta) -> None:
    connection.execute(
        insert(login_codes).values(code_hash=code_hash, user_id=user_id, expires_at=func.now() + lifetime)
    )


def use_login_code(connection: Connection, *, code_hash: bytes) -> User | None:
    """The user of an unused, unexpired code. Of many at once exactly one gets it: the row is the lock."""
    used = connection.execute(
        update(login_codes)
        .where(
            login_codes.c.code_hash == code_hash,
            login_codes.c.used_at.is_(None),
            login_codes.c.expires_at > func.now(),
        )
        .values(used_at=func.now())
        .returning(login_codes.c.user_id)
    ).scalar_one_or_none()
    if used is None:
        return None
    row = (
        connection.execute(select(users).where(users.c.id == used, users.c.disabled_at.is_(None)))
        .mappings()
        .one_or_none()
    )
    return _user(row) if row else None


def admit_login_attempt(
    connection: Connection, *, address: str, most: int, most_in_all: int, window: timedelta
) -> float:
    """0.0 when this address may try (and the try is counted), else the seconds until it may."""
    # Two tries at once must not both see the last free place.
    connection.execute(select(func.pg_advisory_xact_lock(_ATTEMPTS_LOCK)))
    recent = login_attempts.c.at > func.clock_timestamp() - window
    for condition, limit in ((login_attempts.c.address == address, most), (text("true"), most_in_all)):
        tries = (
            select(login_attempts.c.at)
            .where(recent, condition)
            .order_by(login_attempts.c.at.desc())
            .limit(limit)
            .subquery()
        )
        oldest = func.min(tries.c.at) + window - func.clock_timestamp()
        count, wait = connection.execute(select(func.count(), oldest).select_from(tries)).one()
        if count >= limit:
            return max(cast(timedelta, wait).total_seconds(), 1.0)
    connection.execute(insert(login_attempts).values(address=address, at=func.clock_timestamp()))
    return 0.0


def add_session(connection: Connection, *, id_hash: bytes, user_id: int, lifetime: timedelta) -> None:
    connection.execute(
        insert(sessions).values(id_hash=id_hash, user_id=user_id, expires_at=func.now() + lifetime)
    )


def find_session(connection: Connection, *, id_hash: bytes, idle: timedelta) -> tuple[User, bool] | None:
    """The user of a live session, and whether its last use was noted more than a minute ago."""
    row = (
        connection.execute(
            select(users, (sessions.c.last_seen_at < func.now() - _USE_NOTED_AFTER).label("use_is_old"))
            .join(sessions, sessions.c.user_id == users.c.id)
            .where(
                sessions.c.id_hash == id_hash,
                sessions.c.expires_at > func.now(),
                sessions.c.last_seen_at > func.now() - idle,
                users.c.disabled_at.is_(None),
            )
        )
        .mappings()
        .one_or_none()
    )
    return (_user(row), bool(row["use_is_old"])) if row else None


def note_session(connection: Connection, *, id_hash: bytes) -> None:
    found = select(sessions.c.id_hash).where(sessions.c.id_hash == id_hash)
    _note_use(connection, sessions.c.id_hash, found, last_seen_at=func.now())


def _note_use(connection: Connection, key: Column[Any], found: Select[Any], **values: Any) -> None:
    """Of one row; not while somebody else has it: nobody waits for a note."""
    free = found.with_for_update(skip_locked=True, key_share=True).scalar_subquery()
    connection.execute(update(key.table).where(key == free).values(**values))


def end_session(connection: Connection, *, id_hash: bytes) -> bool:
    ended = connection.execute(delete(sessions).where(sessions.c.id_hash == id_hash))
    return ended.rowcount > 0


def add_token(
    connection: Connection,
    *,
    kind: TokenKind,
    name: str,
    scopes: Sequence[str] = (),
    user_id: int | None = None,
    lifetime: timedelta | None = None,
) -> tuple[str, Token]:
    """The secret, shown once, and the token as lists show it."""
    secret = new_token(kind)
    row = (
        connection.execute(
            insert(tokens)
            .values(
                kind=kind,
                token_hash=secret_hash(secret),
                last4=secret[-4:],
                name=name,
                user_id=user_id,
                scopes=list(scopes),
                expires_at=None if lifetime is None else func.now() + lifetime,
            )
            .returning(tokens)
        )
        .mappings()
        .one()
    )
    return secret, _token(row)


def mint_trial_tokens(connection: Connection, held: Sequence[tuple[int, int]]) -> list[str]:
    """A token for each of these trials and epochs, bound to this generation of the database."""
    secrets = [new_token("trl") for _ in held]
    trials, epochs = np.array(held, dtype=np.int64).reshape(-1, 2).T
    values = {
        "hashes": Blobs([secret_hash(secret) for secret in secrets]),
        "ends": Texts([secret[-4:] for secret in secrets]),
        "trials": Integers(trials),
        "epochs": Integers(epochs),
    }
    straight(connection, _MINT, values)
    return secrets


_MINT = """
INSERT INTO tokens (kind, scopes, generation, token_hash, last4, trial_id, epoch)
SELECT 'trl', '{trial:report}', generation, new.*
  FROM server CROSS JOIN unnest(%(hashes)s, %(ends)s, %(trials)s, %(epochs)s) AS new
"""


_FIND_LIVE = """
SELECT t.id, t.kind, t.name, t.scopes, t.worker_id, t.trial_id, t.epoch,
       t.generation IS NULL OR t.generation = server.generation,
       t.kind <> 'trl' AND coalesce(t.last_used_at < now() - %(noted_after)s::interval, true),
       u.id, u.name, u.is_admin, u.created_at
  FROM tokens t CROSS JOIN server LEFT JOIN users u ON u.id = t.user_id
 WHERE t.token_hash = %(token_hash)s AND t.revoked_at IS NULL AND u.disabled_at IS NULL
   AND (t.expires_at IS NULL OR t.expires_at > now())
"""


def find_token(connection: Connection, *, token_hash: bytes) -> KnownToken | None:
    """One statement for token, user and generation: every request of a training job pays for it."""
    found = fetch_row(connection, _FIND_LIVE, {"token_hash": token_hash, "noted_after": _USE_NOTED_AFTER})
    if found is None:
        return None
    token_id, kind, name, scopes, worker_id, trial_id, epoch, current, use_is_old, *user = found
    return KnownToken(
        id=token_id,
        kind=kind,
        name=name,
        scopes=tuple(scopes),
        user=User(*user) if user[0] is not None else None,
        worker_id=worker_id,
        trial_id=trial_id,
        epoch=epoch,
        current=current,
        use_is_old=use_is_old,
    )


def note_token(connection: Connection, *, token_id: int) -> None:
    _note_use(
        connection, tokens.c.id, select(tokens.c.id).where(tokens.c.id == token_id), last_used_at=func.now()
    )


def page_tokens(connection: Connection, *, user_id: int, before: int | None, limit: int) -> list[Token]:
    """The user's live tokens and all workers' tokens, newest first."""
    query = select(tokens).where(
        or_(tokens.c.user_id == user_id, tokens.c.kind == "wrk"), tokens.c.revoked_at.is_(None)
    )
    if before is not None:
        query = query.where(tokens.c.id < before)
    rows = connection.execute(query.order_by(tokens.c.id.desc()).limit(limit)).mappings()
    return [_token(row) for row in rows]


def revoke_token(connection: Connection, *, token_id: int, user_id: int) -> Token | None:
    row = (
        connection.execute(
            update(tokens)
            .where(
                tokens.c.id == token_id,
                or_(tokens.c.user_id == user_id, tokens.c.kind == "wrk"),
                tokens.c.revoked_at.is_(None),
            )
            .values(revoked_at=func.now())
            .returning(tokens)
        )
        .mappings()
        .one_or_none()
    )
    return _token(row) if row else None


def revoke_worker_tokens(connection: Connection, *, name: str) -> None:
    connection.execute(
        update(tokens)
        .where(tokens.c.kind == "wrk", tokens.c.name == name, tokens.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )


def worker_is_anothers(connection: Connection, *, worker_name: str, token_id: int) -> bool:
    """Whether a live token other than this one speaks for the worker of that name."""
    return (
        connection.execute(
            select(tokens.c.id)
            .join(workers, workers.c.id == tokens.c.worker_id)
            .where(
                workers.c.name == worker_name,
                tokens.c.kind == "wrk",
                tokens.c.id != token_id,
                tokens.c.revoked_at.is_(None),
                or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > func.now()),
            )
            .limit(1)
        ).first()
        is not None
    )


def bind_worker(connection: Connection, *, token_id: int, worker_id: int) -> None:
    """From now on the token speaks for this worker."""
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(worker_id=worker_id))


def _user(row: RowMapping) -> User:
    return User(row["id"], row["name"], row["is_admin"], cast(datetime, row["created_at"]))


def _token(row: RowMapping) -> Token:
    fields: dict[str, Any] = {
        name: row[name]
        for name in ("id", "kind", "name", "last4", "created_at", "expires_at", "last_used_at")
    }
    return Token(**fields, scopes=tuple(row["scopes"]))

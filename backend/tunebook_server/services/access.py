"""Use cases of access: getting in, being recognised, and giving out tokens."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tunebook_server.domain import paging
from tunebook_server.domain.access import SCOPES, Principal, Token, User, secret_hash, well_formed
from tunebook_server.domain.errors import (
    Conflict,
    Fenced,
    Forbidden,
    Invalid,
    Limited,
    NotFound,
    Unauthenticated,
)
from tunebook_server.storage import access, audit
from tunebook_server.storage.engine import Connection, Engine, autocommit, transaction

CODE_LIFETIME = timedelta(minutes=15)
SESSION_LIFETIME = timedelta(days=7)
SESSION_IDLE = timedelta(hours=12)
TRIES, TRIES_IN_ALL, TRIES_WINDOW = 10, 1000, timedelta(minutes=5)
"""As PyPI limits logins: by address, and over all addresses together."""
TOKEN_DAYS_MOST = 365
PERSON, WORKER, TRIAL = SCOPES, frozenset({"worker:claim"}), frozenset({"trial:report"})

_TRY_AGAIN = "Log in again, or use a token that is valid."


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request shows to be let in: with both it is the session's, with neither Unauthenticated."""

    bearer: str | None = field(repr=False)
    session: str | None = field(repr=False)

    def __post_init__(self) -> None:
        if self.session is None and self.bearer is None:
            raise Unauthenticated("This needs a login or a token.", remedy=_TRY_AGAIN)


def ensure_owner(engine: Engine) -> User:
    """The one person of a new installation; the same one on every call."""
    with transaction(engine) as connection:
        return access.ensure_owner(connection)


def issue_login_code(engine: Engine) -> str:
    """A code that lets the owner's browser in once, within 15 minutes; 50 random bits, easy to type."""
    code = base64.b32encode(secrets.token_bytes(8)).decode()[:10]
    with transaction(engine) as connection:
        owner = access.ensure_owner(connection)
        access.add_login_code(
            connection, user_id=owner.id, code_hash=secret_hash(code), lifetime=CODE_LIFETIME
        )
        audit.write(connection, actor="system", action="login_code.issue", target=f"user:{owner.id}")
    return f"{code[:5]}-{code[5:]}"


def login(engine: Engine, *, code: str, address: str) -> tuple[str, User]:
    """The secret of a new session. Raises Limited before the code is looked at, Unauthenticated when it is no
    (longer a) good one."""
    with transaction(engine) as connection:
        wait_seconds = access.admit_login_attempt(
            connection, address=address, most=TRIES, most_in_all=TRIES_IN_ALL, window=TRIES_WINDOW
        )
    if wait_seconds:
        raise Limited("Too many logins were tried.", retry_after_seconds=wait_seconds)
    session = secrets.token_urlsafe(32)
    with transaction(engine) as connection:
        user = access.use_login_code(connection, code_hash=secret_hash(_plain(code)))
        if user is None:
            raise Unauthenticated(
                "This login code is wrong, used or older than 15 minutes.",
                field="code",
                remedy="Print a new one with `tunebook up`.",
            )
        access.add_session(
            connection, id_hash=secret_hash(session), user_id=user.id, lifetime=SESSION_LIFETIME
        )
        audit.write(
            connection,
            actor=f"user:{user.name}",
            action="login",
            target=f"user:{user.id}",
            detail={"address": address},
        )
    return session, user


def logout(engine: Engine, *, principal: Principal, session: str) -> None:
    with transaction(engine) as connection:
        access.end_session(connection, id_hash=secret_hash(session))
        audit.write(connection, actor=principal.actor, action="logout", target=f"user:{principal.user_id}")


def authenticate(engine: Engine, *, bearer: str | None, session: str | None) -> Principal:
    """Who holds this credential now: asked of the database every time, so that revoking works at once.

    Raises Unauthenticated, or Fenced for a trial's token of before the database was restored from a backup.
    """
    credential = Credential(bearer, session)
    with autocommit(engine) as connection:
        return _recognised(connection, credential)


def authenticate_all(
    engine: Engine, credentials: Sequence[Credential]
) -> list[Principal | Unauthenticated | Fenced]:
    """As `authenticate` for each, but refusals are told, not raised. Who is named twice is asked for once."""
    found: dict[Credential, Principal | Unauthenticated | Fenced] = {}
    with autocommit(engine) as connection:
        for each in dict.fromkeys(credentials):
            try:
                found[each] = _recognised(connection, each)
            except (Unauthenticated, Fenced) as error:
                found[each] = error
    return [found[each] for each in credentials]


def create_token(
    engine: Engine, *, principal: Principal, name: str, scopes: Sequence[str], expires_in_days: int
) -> tuple[str, Token]:
    """A personal token with at most the rights of its maker; the secret is in this answer alone."""
    unknown = sorted(set(scopes) - SCOPES)
    if unknown:
        raise Invalid(
            f"there is no scope {unknown[0][:60]!a}",
            field="scopes",
            remedy=f"Use {', '.join(sorted(SCOPES))}.",
        )
    if not set(scopes) <= principal.scopes:
        raise Forbidden("A token cannot give more than its maker has.", field="scopes")
    assert principal.user_id is not None
    with transaction(engine) as connection:
        secret, token = access.add_token(
            connection,
            kind="pat",
            name=name,
            scopes=sorted(set(scopes)),
            user_id=principal.user_id,
            lifetime=timedelta(days=expires_in_days),
        )
        audit.write(
            connection,
            actor=principal.actor,
            action="token.create",
            target=f"token:{token.id}",
            detail={"name": name, "scopes": sorted(set(scopes))},
        )
    return secret, token


def create_owner_token(engine: Engine, *, name: str, expires_in_days: int = TOKEN_DAYS_MOST) -> str:
    """A token of the owner with every scope: for the command line beside `tunebook up`."""
    owner = ensure_owner(engine)
    secret, _ = create_token(
        engine,
        principal=_person(owner, PERSON, None),
        name=name,
        scopes=tuple(PERSON),
        expires_in_days=expires_in_days,
    )
    return secret


def create_worker_token(engine: Engine, *, name: str, actor: str = "system") -> str:
    """The token of one worker; an earlier one of that name stops working."""
    with transaction(engine) as connection:
        access.revoke_worker_tokens(connection, name=name)
        secret, token = access.add_token(connection, kind="wrk", name=name)
        audit.write(
            connection,
            actor=actor,
            action="token.create",
            target=f"token:{token.id}",
            detail={"worker": name},
        )
    return secret


def page_tokens(
    engine: Engine, *, principal: Principal, limit: int, cursor: str | None
) -> paging.Page[Token]:
    """Newest first: the person's own tokens and those of workers."""
    size = paging.page_size(limit)
    before = None if cursor is None else int(paging.decode(cursor, int)[0] or 0)
    assert principal.user_id is not None
    with transaction(engine) as connection:
        found = access.page_tokens(connection, user_id=principal.user_id, before=before, limit=size + 1)
    return paging.cut(found, size, lambda token: (token.id,))


def revoke_token(engine: Engine, *, principal: Principal, token_id: int) -> None:
    """Refused from the next request on."""
    assert principal.user_id is not None
    with transaction(engine) as connection:
        token = access.revoke_token(connection, token_id=token_id, user_id=principal.user_id)
        if token is None:
            raise NotFound(f"There is no token {token_id}.")
        audit.write(
            connection,
            actor=principal.actor,
            action="token.revoke",
            target=f"token:{token_id}",
            detail={"name": token.name},
        )


def check_worker_name(engine: Engine, *, principal: Principal, name: str) -> None:
    """Conflict when the name belongs to a worker that another token speaks for."""
    assert principal.credential_id is not None
    with transaction(engine) as connection:
        if access.worker_is_anothers(connection, worker_name=name, token_id=principal.credential_id):
            raise Conflict(
                f"Another token speaks for the worker {name[:60]!a}.",
                field="name",
                remedy="Choose another name, or revoke that token.",
            )


def bind_worker(engine: Engine, *, principal: Principal, worker_id: int) -> None:
    """From now on the token speaks for this worker."""
    assert principal.credential_id is not None
    with transaction(engine) as connection:
        access.bind_worker(connection, token_id=principal.credential_id, worker_id=worker_id)


def _plain(code: str) -> str:
    return "".join(code.split()).replace("-", "").upper()


def _recognised(connection: Connection, credential: Credential) -> Principal:
    if credential.session is not None:
        return _by_session(connection, credential.session)
    return _by_token(connection, credential.bearer or "")


def _by_session(connection: Connection, session: str) -> Principal:
    id_hash = secret_hash(session)
    found = access.find_session(connection, id_hash=id_hash, idle=SESSION_IDLE)
    if found is None:
        raise Unauthenticated("This session has ended.", remedy="Log in again.")
    user, use_is_old = found
    if use_is_old:
        access.note_session(connection, id_hash=id_hash)
    return _person(user, PERSON, None)


def _by_token(connection: Connection, bearer: str) -> Principal:
    known = access.find_token(connection, token_hash=secret_hash(bearer)) if well_formed(bearer) else None
    if known is None and bearer.startswith("tbk_trl_") and well_formed(bearer):
        # Claimed after the backup that the database was restored from, or long ago: the job must stop.
        raise Fenced("No attempt has this token (any more).", remedy="Stop: another attempt goes on.")
    if known is None:
        raise Unauthenticated("This token is unknown, revoked or expired.", remedy=_TRY_AGAIN)
    if not known.current:
        raise Fenced(
            "This token is from before the database was restored.", remedy="Stop: another attempt goes on."
        )
    if known.use_is_old:
        access.note_token(connection, token_id=known.id)
    if known.user is not None:
        return _person(known.user, frozenset(known.scopes), known.id)
    if known.kind == "wrk":
        return Principal(
            "worker",
            known.name,
            f"worker:{known.name}",
            WORKER,
            worker_id=known.worker_id,
            credential_id=known.id,
        )
    return Principal(
        "trial",
        f"trial {known.trial_id}",
        f"trial:{known.trial_id}",
        TRIAL,
        trial_id=known.trial_id,
        epoch=known.epoch,
        credential_id=known.id,
    )


def _person(user: User, scopes: frozenset[str], credential_id: int | None) -> Principal:
    return Principal(
        "person",
        user.name,
        f"user:{user.name}",
        scopes,
        user_id=user.id,
        is_admin=user.is_admin,
        credential_id=credential_id,
    )

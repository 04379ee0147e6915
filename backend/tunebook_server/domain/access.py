"""Who is asking and what they may do: users, scopes, the principal of a request, the shape of a token."""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tunebook_server.domain.errors import Forbidden

TokenKind = Literal["pat", "wrk", "trl"]
"""A person's token, a worker's, a trial's."""
PrincipalKind = Literal["person", "worker", "trial"]

SCOPES = frozenset(
    {
        *("study:read", "study:write", "trial:report", "run:launch"),
        *("template:admin", "member:admin", "metrics:read"),
    }
)
"""What a personal token can be given; a session has all that its user may do."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LETTERS = 43  # 62^43 > 2^256
_CHECK_LETTERS = 6  # 62^6 > 2^32
TOKEN = re.compile(r"tbk_(?:pat|wrk|trl)_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}")
"""Public on purpose, so that secret scanners find leaked tokens."""


@dataclass(frozen=True, slots=True)
class User:
    id: int
    name: str
    is_admin: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """A token as lists show it: never its secret."""

    id: int
    kind: TokenKind
    name: str
    last4: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a valid credential. `credential_id`: the token's id, None for a session."""

    kind: PrincipalKind
    name: str
    actor: str
    scopes: frozenset[str]
    user_id: int | None = None
    is_admin: bool = False
    worker_id: int | None = None
    trial_id: int | None = None
    epoch: int | None = None
    credential_id: int | None = None

    def require(self, scope: str) -> None:
        if scope not in self.scopes:
            raise Forbidden(
                f"This credential does not have the scope {scope}.",
                remedy=f"Use a token with the scope {scope}.",
            )

    def require_epoch(self, epoch: int) -> None:
        """A trial's token speaks for its own epoch alone, whatever a request says."""
        if self.epoch != epoch:
            raise Forbidden(
                f"This token is for epoch {self.epoch}.", field="epoch", remedy="Use the token of that claim."
            )


def new_token(kind: TokenKind) -> str:
    """A token of 256 random bits with a checksum, so that garbage is refused without a look-up."""
    secret = _letters(secrets.randbelow(62**_SECRET_LETTERS), _SECRET_LETTERS)
    stem = f"tbk_{kind}_{secret}"
    return f"{stem}_{_checksum(stem)}"


def well_formed(token: str) -> bool:
    """Whether shape and checksum are right: spares the database a look-up of garbage."""
    return (
        TOKEN.fullmatch(token) is not None
        and _checksum(token[: -_CHECK_LETTERS - 1]) == token[-_CHECK_LETTERS:]
    )


def secret_hash(secret: str) -> bytes:
    """SHA-256: enough for 256 random bits (OWASP ASVS 5.0, 6.5.2), where a password needs more."""
    return hashlib.sha256(secret.encode()).digest()


def _checksum(stem: str) -> str:
    return _letters(zlib.crc32(stem.encode()), _CHECK_LETTERS)


def _letters(number: int, count: int) -> str:
    """The last `count` digits to the base 62."""
    letters = ""
    for _ in range(count):
        number, digit = divmod(number, 62)
        letters = _DIGITS[digit] + letters
    return letters

"""Shapes of logins, tokens and principals."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from tunebook_server.api.schemas import Name, Received, Sent, Word
from tunebook_server.services.access import TOKEN_DAYS_MOST

Scope = Literal[
    "study:read",
    "study:write",
    "trial:report",
    "run:launch",
    "template:admin",
    "member:admin",
    "metrics:read",
]


class LoginIn(Received):
    code: Annotated[Word, Field(min_length=1, max_length=100, examples=["ABCDE-FGHJK"])]


class PrincipalOut(Sent):
    kind: Literal["person", "worker", "trial"]
    name: str
    scopes: list[str]
    is_admin: bool


class TokenIn(Received):
    name: Name = Field(examples=["laptop"])
    scopes: list[Scope] | None = Field(
        default=None,
        fail_fast=True,
        min_length=1,
        max_length=100,
        description="Left out: all that the maker has.",
    )
    expires_in_days: int = Field(default=30, ge=1, le=TOKEN_DAYS_MOST)


class WorkerTokenIn(Received):
    name: Name = Field(examples=["gpu-7"])


class TokenOut(Sent):
    id: int
    kind: Literal["pat", "wrk", "trl"]
    name: str
    last4: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewToken(Sent):
    """`token` is the secret: it is shown here once."""

    token: str
    id: int | None = None
    expires_at: datetime | None = None

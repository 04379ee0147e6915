"""Settings, from TUNEBOOK_* environment variables; every one has a heading in docs/settings.md."""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


def _postgres(url: SecretStr) -> SecretStr:
    address = re.fullmatch(r"postgres(?:ql)?(?:\+psycopg)?://(.*)", url.get_secret_value(), re.DOTALL)
    if address is None:
        raise ValueError("it must begin with postgresql://")  # the value itself may hold a password
    return SecretStr(f"postgresql://{address[1]}")


def _broker(url: SecretStr) -> SecretStr:
    if not re.match(r"$|rediss?://|tunebook\+postgres://", url.get_secret_value()):
        raise ValueError("it must begin with redis://, rediss:// or tunebook+postgres://, or be empty")
    return url


def _web_address(url: str) -> str:
    if not re.fullmatch(r"|https?://[^/?#\s]+(/[^?#\s]*)?", url):
        raise ValueError("it must be like https://tunebook.example.org")
    return url.rstrip("/")


def _words(value: object) -> object:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="TUNEBOOK_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: Annotated[SecretStr, AfterValidator(_postgres)] = SecretStr(
        "postgresql://localhost/tunebook"
    )
    broker_url: Annotated[SecretStr, AfterValidator(_broker)] = SecretStr("")
    """Empty: the broker is this same Postgres (`tunebook_broker`)."""
    data: Path = Path(".tunebook")
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8787, ge=0, le=65535)
    public_url: Annotated[str, AfterValidator(_web_address)] = ""
    """The address people type, behind a proxy; empty: http://HOST:PORT."""
    allowed_hosts: Annotated[list[str], NoDecode, BeforeValidator(_words)] = [
        "localhost",
        "127.0.0.1",
        "[::1]",
    ]

    beat_seconds: Seconds = 15.0
    lease_seconds: Seconds = 90.0
    fence_seconds: Seconds = 75.0
    sweep_seconds: Seconds = 5.0
    hint_again_seconds: Seconds = 30.0
    sample_ahead: int = Field(default=16, ge=0, le=1000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        # A job must stop itself before its lease is given to another, and a lost beat must not end it.
        if not self.beat_seconds < self.fence_seconds < self.lease_seconds:
            raise ValueError(
                "TUNEBOOK_BEAT_SECONDS < TUNEBOOK_FENCE_SECONDS < TUNEBOOK_LEASE_SECONDS must hold"
            )
        return self

    @property
    def broker(self) -> str:
        """The URL handed to Celery."""
        return self.broker_url.get_secret_value() or self.database_url.get_secret_value().replace(
            "postgresql://", "tunebook+postgres://", 1
        )

    @property
    def address(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"


@cache
def settings() -> Settings:
    return Settings()

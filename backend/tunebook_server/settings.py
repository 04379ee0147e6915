"""Settings, from TUNEBOOK_* environment variables; every one has a heading in docs/settings.md."""

import ipaddress
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tunebook import passwords

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


def _with_password(name: str, url: str | None, file: Path) -> str:
    if not url:
        raise ValueError(f"TUNEBOOK_{name}_PASSWORD_FILE needs TUNEBOOK_{name}_URL")
    try:
        return passwords.into_url(url, file)
    except passwords.WrongPassword as error:
        raise ValueError(f"TUNEBOOK_{name}_PASSWORD_FILE: {error}") from None


def _words(value: object) -> object:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _networks(values: list[str]) -> list[str]:
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError:
            raise ValueError(
                f"{value!r} is no address or network; write 10.0.0.7 or 10.0.0.0/24, with commas between"
            ) from None
    return values


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="TUNEBOOK_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: Annotated[SecretStr, AfterValidator(_postgres)] = SecretStr(
        "postgresql://localhost/tunebook"
    )
    broker_url: Annotated[SecretStr, AfterValidator(_broker)] = SecretStr("")
    """Empty: the broker is this same Postgres (`tunebook_broker`)."""
    database_password_file: Path | None = None
    broker_password_file: Path | None = None
    """The passwords of these two: each is put into its URL."""
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
    trusted_proxies: Annotated[list[str], NoDecode, BeforeValidator(_words), AfterValidator(_networks)] = []
    """Peers whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    beat_seconds: Seconds = 15.0
    lease_seconds: Seconds = 90.0
    fence_seconds: Seconds = 75.0
    sweep_seconds: Seconds = 5.0
    hint_again_seconds: Seconds = 30.0
    sample_ahead: int = Field(default=16, ge=0, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _with_passwords(cls, given: dict[str, Any]) -> dict[str, Any]:
        given = dict(given)
        for name in ("database", "broker"):
            file, url = given.get(f"{name}_password_file"), given.get(f"{name}_url")
            if file:
                plain = url.get_secret_value() if isinstance(url, SecretStr) else url
                given[f"{name}_url"] = SecretStr(_with_password(name.upper(), plain, Path(file)))
        return given

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

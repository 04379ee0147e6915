"""Settings, from TUNEBOOK_* environment variables; every one has a heading in docs/settings.md."""

from functools import cache
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TUNEBOOK_", extra="ignore")

    database_url: SecretStr = SecretStr("postgresql://localhost/tunebook")
    broker_url: SecretStr = SecretStr("")
    """Empty: the broker is this same Postgres (`tunebook_broker`); else redis://…"""
    data: Path = Path(".tunebook")
    """Checkpoints, logs and the embedded database live here."""
    host: str = "127.0.0.1"
    port: int = 8787
    public_url: str = ""
    """The address people type, behind a proxy; empty: http://HOST:PORT."""
    allowed_hosts: list[str] = ["localhost", "127.0.0.1", "[::1]"]

    beat_seconds: float = 15.0
    lease_seconds: float = 90.0
    fence_seconds: float = 75.0
    sweep_seconds: float = 5.0
    hint_again_seconds: float = 30.0
    sample_ahead: int = 16

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

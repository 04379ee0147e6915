"""Settings: each one is documented, and a wrong one is named without showing a password."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from tunebook_server.settings import Settings

ROOT = Path(__file__).parents[1]
VARIABLE = re.compile(r"TUNEBOOK_[A-Z_]*[A-Z]")


def headings() -> list[str]:
    return re.findall(r"^## (\S+)$", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)


def variables() -> set[str]:
    """Those of the server's settings, and every one that a source file names."""
    named = {f"TUNEBOOK_{name.upper()}" for name in Settings.model_fields}
    for folder in ("backend", "worker", "client"):
        for file in (ROOT / folder).rglob("*.py"):
            named.update(VARIABLE.findall(file.read_text()))
    return named


def test_every_setting_has_exactly_one_heading_and_every_heading_a_setting() -> None:
    assert sorted(headings()) == sorted(variables())


def test_the_documented_defaults_are_the_real_ones() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    for name in ("beat_seconds", "lease_seconds", "fence_seconds", "sweep_seconds", "hint_again_seconds"):
        section = text.split(f"## TUNEBOOK_{name.upper()}\n")[1].split("##")[0]
        assert f"Default: `{Settings.model_fields[name].default:g}`" in section


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://root:hunter2@host/x"),
        ("BROKER_URL", "amqp://guest:hunter2@host"),
        ("PORT", "70000"),
        ("PORT", "http"),
        ("PUBLIC_URL", "tunebook.example.org"),
        ("PUBLIC_URL", "javascript:alert(1)"),
        ("HOST", ""),
        ("BEAT_SECONDS", "0"),
        ("BEAT_SECONDS", "nan"),
        ("SWEEP_SECONDS", "-1"),
        ("LEASE_SECONDS", "10"),
        ("FENCE_SECONDS", "90"),
        ("SAMPLE_AHEAD", "-1"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TRUSTED_PROXIES", "10.0.0.7, everybody"),
        ("DATABASE_PASSWORD_FILE", "/nowhere"),
        ("BROKER_PASSWORD_FILE", "/nowhere"),
    ],
)
def test_a_wrong_value_is_refused_by_name(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TUNEBOOK_{variable}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert variable.lower() in str(refused.value).lower()
    assert "hunter2" not in str(refused.value)


def test_right_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOOK_DATABASE_URL", "postgres://someone:secret@host/x")
    monkeypatch.setenv("TUNEBOOK_ALLOWED_HOSTS", "localhost, tunebook.example.org")
    monkeypatch.setenv("TUNEBOOK_PUBLIC_URL", "https://tunebook.example.org/")
    read = Settings()
    assert read.database_url.get_secret_value() == "postgresql://someone:secret@host/x"
    assert read.broker == "tunebook+postgres://someone:secret@host/x"
    assert read.allowed_hosts == ["localhost", "tunebook.example.org"]
    assert read.address == "https://tunebook.example.org"
    assert "secret" not in repr(read)
    monkeypatch.setenv("TUNEBOOK_BROKER_URL", "redis://host/0")
    assert Settings().broker == "redis://host/0"


def test_passwords_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, url in (("DATABASE", "postgresql://tunebook@db/tunebook"), ("BROKER", "redis://redis/0")):
        file = tmp_path / name
        file.write_text(f"{name}-of-sixteen-letters\n")
        monkeypatch.setenv(f"TUNEBOOK_{name}_URL", url)
        monkeypatch.setenv(f"TUNEBOOK_{name}_PASSWORD_FILE", str(file))
    read = Settings()
    assert read.database_url.get_secret_value() == (
        "postgresql://tunebook:DATABASE-of-sixteen-letters@db/tunebook"
    )
    assert read.broker == "redis://:BROKER-of-sixteen-letters@redis/0"
    assert "sixteen" not in repr(read)
    (tmp_path / "BROKER").write_text("")
    with pytest.raises(ValidationError, match=r"TUNEBOOK_BROKER_PASSWORD_FILE: .* is empty"):
        Settings()

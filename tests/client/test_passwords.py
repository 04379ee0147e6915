"""Passwords out of files: into the URL, and a clear no that never shows them."""

from pathlib import Path

import pytest

from tunebook.passwords import WrongPassword, into_url

GOOD = "0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "password"


@pytest.mark.parametrize(
    ("url", "with_it"),
    [
        ("postgresql://tunebook@db:5432/tunebook", "postgresql://tunebook:{}@db:5432/tunebook"),
        ("redis://redis:6379/0", "redis://:{}@redis:6379/0"),
        (
            "rediss://worker@redis/0?ssl_cert_reqs=required",
            "rediss://worker:{}@redis/0?ssl_cert_reqs=required",
        ),
        ("tunebook+postgres://tunebook@db/tunebook", "tunebook+postgres://tunebook:{}@db/tunebook"),
        ("postgresql://tunebook@[::1]:5432/t", "postgresql://tunebook:{}@[::1]:5432/t"),
    ],
)
def test_it_goes_into_the_url(file: Path, url: str, with_it: str) -> None:
    file.write_text(f"{GOOD}\n")
    assert into_url(url, file) == with_it.format(GOOD)


def test_every_character_is_quoted(file: Path) -> None:
    file.write_text("a/b?c#d@e:f%g[h]&i")
    assert into_url("redis://redis/0", file) == "redis://:a%2Fb%3Fc%23d%40e%3Af%25g%5Bh%5D%26i@redis/0"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("hunter2", "shorter than 16"),
        ("postgres-password-1", "is known"),
        ("Change-Me-Please-1", "is known"),
        ("CHANGEMECHANGEME", "is known"),
        ("0123456789abcdef\n0123456789abcdef", "one word"),
        ("0123456789 abcdef", "one word"),
        ("x" * 1001, "one word"),
        ("pässwörter-sind-x", "ASCII"),
    ],
)
def test_what_is_no_password_is_refused_without_showing_it(file: Path, content: str, words: str) -> None:
    file.write_text(content)
    with pytest.raises(WrongPassword, match=words) as refused:
        into_url("redis://redis/0", file)
    assert str(file) in str(refused.value)
    assert not content.strip() or content.strip() not in str(refused.value)


def test_a_missing_file_and_a_url_with_a_password_are_refused(file: Path) -> None:
    with pytest.raises(WrongPassword, match="No such file"):
        into_url("redis://redis/0", file)
    file.write_text(GOOD)
    with pytest.raises(WrongPassword, match="one of the two"):
        into_url("redis://:hunter2@redis/0", file)
    with pytest.raises(WrongPassword, match="no URL"):
        into_url("redis", file)

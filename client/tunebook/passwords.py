"""Passwords out of files: how servers and workers are told what belongs in no argv, environment or log."""

import re
from pathlib import Path
from urllib.parse import quote

SHORTEST = 16
LONGEST = 1_000
_DEFAULTS = re.compile(
    r"pass[-_]?word|change[-_]?me|replace[-_]?(me|this)|secret|example|foobared", re.IGNORECASE
)
_URL = re.compile(r"(?P<scheme>[a-z+]+)://(?:(?P<user>[^/@:]*)(?P<password>:[^/@]*)?@)?(?P<rest>[^@]*)")


class WrongPassword(ValueError):
    """The message names the file and says what to do; it never holds the password."""


def read(file: Path) -> str:
    """The file's one line. Raises WrongPassword when it is missing, empty, short or a known default."""
    try:
        password = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = "it must be ASCII" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise WrongPassword(f"{file} cannot be read: {reason}") from None
    if not password:
        raise WrongPassword(f"{file} is empty; {_remedy(file)}")
    if not password.isprintable() or " " in password or len(password) > LONGEST:
        raise WrongPassword(f"{file} must hold one word, of at most {LONGEST} characters; {_remedy(file)}")
    if len(password) < SHORTEST or _DEFAULTS.search(password):
        raise WrongPassword(
            f"{file} holds a password that is known or shorter than {SHORTEST} characters; {_remedy(file)}"
        )
    return password


def into_url(url: str, file: Path) -> str:
    """The URL with the file's password in it. Raises WrongPassword, also when it holds one already."""
    parts = _URL.fullmatch(url)
    if parts is None:
        raise WrongPassword("the address that it belongs to is no URL")
    if parts["password"]:
        raise WrongPassword("the address that it belongs to holds a password already; give one of the two")
    return f"{parts['scheme']}://{parts['user'] or ''}:{quote(read(file), safe='')}@{parts['rest']}"


def _remedy(file: Path) -> str:
    return f"write a random one: openssl rand -hex 32 > {file}"

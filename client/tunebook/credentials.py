"""Where the server is and who we are.

Looked for in this order: arguments; TUNEBOOK_URL with TUNEBOOK_TOKEN; a data folder of `tunebook up` (an
argument, or TUNEBOOK_DATA); what `tunebook login` stored; a running `tunebook up` in this folder's .tunebook.
The token for an address that comes alone: of the `tunebook up` that has this address, else what was stored.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from tunebook.errors import NoCredentials


@dataclass(frozen=True, slots=True)
class Credentials:
    url: str
    token: str = field(repr=False)


def find(url: str | None = None, token: str | None = None, data: Path | str | None = None) -> Credentials:
    """Raises NoCredentials, saying what to do, where an address or a token is missing."""
    if data is not None:
        return _of_data_folder(Path(data))
    url, token = url or os.environ.get("TUNEBOOK_URL"), token or os.environ.get("TUNEBOOK_TOKEN")
    if url and token:
        return Credentials(url, token)
    if url:
        return _running(url) or _stored(url)
    if os.environ.get("TUNEBOOK_DATA"):
        return _of_data_folder(Path(os.environ["TUNEBOOK_DATA"]))
    if credentials_path().exists():
        return _stored(None)
    if Path(".tunebook/client.token").exists():
        return _of_data_folder(Path(".tunebook"))
    raise NoCredentials(
        "No server is known. Start one with `tunebook up`, log in to one with `tunebook login --url URL`, "
        "or set TUNEBOOK_URL and TUNEBOOK_TOKEN."
    )


def store(credentials: Credentials) -> Path:
    """Keeps a token for its server; the file is readable by this user alone."""
    path = credentials_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = _read(path)
    servers = {**known.get("servers", {}), credentials.url: credentials.token}
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"default": credentials.url, "servers": servers}, file, indent=1)
    temporary.replace(path)
    return path


def credentials_path() -> Path:
    root = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(root) / "tunebook" / "credentials.json"


def _stored(url: str | None) -> Credentials:
    known = _read(credentials_path())
    url = (url or str(known.get("default", ""))).rstrip("/")
    token = known.get("servers", {}).get(url)
    if not token:
        raise NoCredentials(f"No token is known for {url or 'any server'}. Run `tunebook login --url URL`.")
    return Credentials(url, str(token))


def _running(url: str) -> Credentials | None:
    """The `tunebook up` of a known data folder that serves this address."""
    folder = Path(os.environ.get("TUNEBOOK_DATA") or ".tunebook")
    try:
        found = _of_data_folder(folder)
    except NoCredentials:
        return None
    return found if found.url.rstrip("/") == url.rstrip("/") else None


def _of_data_folder(folder: Path) -> Credentials:
    try:
        return Credentials(
            (folder / "address").read_text().strip(), (folder / "client.token").read_text().strip()
        )
    except OSError:
        raise NoCredentials(
            f"No Tunebook runs in {folder.absolute()}. Start one with `tunebook up --data {folder}`."
        ) from None


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

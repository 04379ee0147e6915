"""Folders and files of the embedded default: private to their owner, and short enough for a socket."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import IO

from tunebook_server.embedded.binaries import UNPRIVILEGED_ID
from tunebook_server.embedded.errors import NotOurs

SOCKET_PATH_LIMIT_BYTES = 107  # sun_path on Linux is 108 with its closing NUL; 104 on macOS
LOG_LIMIT_BYTES = 16 << 20


def private_folder(folder: Path) -> Path:
    """Make `folder` and its parents; `folder` itself becomes 0700. Raises NotOurs."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    ours = {os.geteuid()} | ({UNPRIVILEGED_ID} if os.geteuid() == 0 else set())
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in ours:
        raise NotOurs(f"{folder} belongs to another user: choose another folder with --data.")
    if status.st_mode & 0o067:  # a group that may pass through (0710) is Postgres' "nobody"
        folder.chmod(0o700)
    return folder


def socket_folder(folder: Path) -> Path:
    """FOLDER/run, or a short hashed folder where that path is too long for a unix socket."""
    plain = folder / "run"
    if len(os.fsencode(plain / ".s.PGSQL.5432")) < SOCKET_PATH_LIMIT_BYTES - 4:
        return plain
    short = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tunebook-{os.geteuid()}-{short}"


def write_private(path: Path, text: str) -> None:
    """Replace the file at once; 0600 from its first byte."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    scratch.replace(path)


def open_log(path: Path, *, limit_bytes: int = LOG_LIMIT_BYTES) -> IO[bytes]:
    """Open for appending, 0600; a log over the limit becomes PATH.1 first."""
    if path.exists() and path.stat().st_size > limit_bytes:
        path.replace(path.with_name(f"{path.name}.1"))
    log = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    log.seek(0, os.SEEK_END)
    return log

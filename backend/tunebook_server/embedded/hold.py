"""Who has the data folder: a lock that ends with its process, and a note that says who that is."""

import fcntl
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from tunebook_server.embedded.errors import Held


class Hold:
    """The lock on `folder`, from `take()` to `release()` or the process's end, however that comes."""

    def __init__(self, folder: Path, *, command: str = "tunebook up") -> None:
        self.folder = folder
        self.command = command
        self._since = datetime.now(UTC).astimezone().isoformat(sep=" ", timespec="seconds")
        self._file = -1

    def take(self) -> None:
        """Raises Held."""
        self._file = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _describe(os.pread(self._file, 4096, 0))
            os.close(self._file)
            raise Held(
                f"{self.folder} is in use by another `{self.command}` ({holder}). "
                "Stop that one, or choose another folder with --data."
            ) from None
        self.note("")

    def note(self, address: str) -> None:
        """What a second `up` is told."""
        content = json.dumps({"pid": os.getpid(), "since": self._since, "address": address}).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, content, 0)

    def release(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


def _describe(content: bytes) -> str:
    try:
        note = json.loads(content)
        where = f", at {note['address']}" if note["address"] else ", still starting"
        return f"process {note['pid']}, since {note['since']}{where}"
    except (ValueError, KeyError, TypeError):
        return "it says no more"

"""Who holds a spool: the process that writes and sends it, or one that sends what a process left in it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tunebook import forks


class SpoolHeld(Exception):
    """A living process holds this spool already; it may be this one."""


class Hold:
    """Raises SpoolHeld while another has it, and FileNotFoundError where the folder is gone."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            raise SpoolHeld(f"another process writes {folder}") from None
        except OSError:
            pass  # a file system without locks: one writer is then the caller's promise
        forks.watch(self)

    def renew(self) -> None:
        """A fork lets go of its copy alone: with it, it would hold the spool for as long as it lives."""
        self._close()

    def let_go(self) -> None:
        """Idempotent."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)  # also for a copy that a child has, and nobody closes
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


@contextlib.contextmanager
def holding(folder: Path | str) -> Iterator[bool]:
    """Keeps others out of a spool; False when somebody holds it already, or it is gone."""
    try:
        hold = Hold(Path(folder))
    except (SpoolHeld, FileNotFoundError):
        yield False
        return
    try:
        yield True
    finally:
        hold.let_go()

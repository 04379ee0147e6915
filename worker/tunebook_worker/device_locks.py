"""One lock for each GPU of a host and user: whoever runs on a device holds its lock, with open descriptors.

A lock is the kernel's (flock): it lives as long as any process has the descriptor open, however the others
ended, so that a device is free exactly when nothing of an attempt is left that could use it.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from tunebook_worker.log import warn


class DeviceLocks:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, device: str) -> int | None:
        """The descriptor that holds the lock, to be inherited and closed; None while somebody else has it."""
        try:
            descriptor = os.open(self._folder / quote(device, safe=""), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            warn("the lock of a GPU cannot be opened: it counts as taken", gpu=device, detail=str(error))
            return None
        try:
            lock(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def is_free(self, device: str) -> bool:
        """At this moment."""
        descriptor = self.take(device)
        if descriptor is None:
            return False
        os.close(descriptor)
        return True


def lock(descriptor: int) -> None:
    """Raises BlockingIOError when it is held through another opening of the file."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def let_go(descriptors: Iterable[int]) -> None:
    """Closed, never unlocked: unlocking would take it from those who inherited it."""
    for descriptor in descriptors:
        os.close(descriptor)

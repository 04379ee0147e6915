"""All processes of one job, however far they ran from the one that we started."""

import os
import signal
import time
from pathlib import Path

import psutil

POLL_SECONDS = 0.02


class Tree:
    """The job's session, whatever carries its TUNEBOOK_JOB, and, in its supervisor, adopted orphans.

    `session` is None while it is not known; the other marks hold without it.
    """

    def __init__(self, job_file: Path, *, session: int | None = None, adopting: bool = False) -> None:
        self.session = session
        self._mark = b"TUNEBOOK_JOB=" + os.fsencode(job_file)
        self._adopting = adopting

    def members(self) -> list[psutil.Process]:
        """Those alive now; zombies do not count."""
        own = os.getpid()
        found = {pid for pid in psutil.pids() if pid != own and self._is_ours(pid)}
        living = []
        for pid in found:
            try:
                member = psutil.Process(pid)
                if member.status() != psutil.STATUS_ZOMBIE:
                    living.append(member)
            except psutil.NoSuchProcess:
                continue
        if self._adopting:
            living += [p for p in _descendants() if p.pid not in found]
        return living

    def signal(self, number: signal.Signals) -> int:
        """Sends it to every member; how many there were."""
        members = self.members()
        for member in members:
            try:
                member.send_signal(number)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return len(members)

    def is_gone(self, within_seconds: float) -> bool:
        """Waits until nothing is left."""
        end = time.monotonic() + within_seconds
        while self.members():
            if time.monotonic() > end:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def kill(self, within_seconds: float = 5.0) -> bool:
        """SIGKILL until nothing is left, for a forking job may outrun one look; False if that failed."""
        end = time.monotonic() + within_seconds
        while self.signal(signal.SIGKILL):
            if time.monotonic() > end:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _is_ours(self, pid: int) -> bool:
        try:
            if self.session is not None and os.getsid(pid) == self.session:
                return True
            content = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return self._mark in content.split(b"\0")


def _descendants() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    living = []
    for child in children:
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                living.append(child)
        except psutil.NoSuchProcess:
            continue
    return living

"""All processes of one job, however far they ran from the one that we started."""

import os
import signal
import time
from pathlib import Path

import psutil

from tunebook_worker import cgroup
from tunebook_worker.cgroup import Cgroup
from tunebook_worker.orders import JobFolder

POLL_SECONDS = 0.02


class Tree:
    """The job's control group and session, what carries its TUNEBOOK_JOB, and, in its supervisor, adopted
    orphans.

    `session` is None while it is not known; the other marks hold without it.
    """

    def __init__(self, job_file: Path, *, session: int | None = None, adopting: bool = False) -> None:
        self.session = session
        self._job_file, self._cgroup_note = job_file, JobFolder(job_file.parent).cgroup
        self._cgroup: Cgroup | None = None
        self._mark = b"TUNEBOOK_JOB=" + os.fsencode(job_file)
        self._adopting = adopting

    def enclose(self) -> Path | None:
        """Makes the control group where this host lets us; its door."""
        self._cgroup = cgroup.create(self._job_file, self._cgroup_note)
        return self._cgroup.door if self._cgroup is not None else None

    def close(self) -> None:
        """Removes the control group; for when nothing is left."""
        if (group := self._group()) is not None:
            group.remove()

    def members(self) -> list[psutil.Process]:
        """Those alive now; zombies do not count."""
        own, group = os.getpid(), self._group()
        found = {pid for pid in psutil.pids() if pid != own and self._is_ours(pid)}
        found |= group.pids() if group is not None else set()
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
        if number is signal.SIGKILL and (group := self._group()) is not None:
            group.kill()
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

    def _group(self) -> Cgroup | None:
        """Made by this process, or noted by the supervisor of the job."""
        if self._cgroup is None:
            self._cgroup = cgroup.noted(self._job_file, self._cgroup_note)
        return self._cgroup

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

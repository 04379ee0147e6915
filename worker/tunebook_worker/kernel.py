"""What we ask of the Linux kernel for processes: ends that reach children, orphans that come to us, privacy.

On other systems these are no-ops: the pipes between worker, supervisor and job still end what they started.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _prctl(option: int, value: int) -> None:
    if _libc is not None:
        _libc.prctl(option, value, 0, 0, 0)


def keep_private() -> None:
    """Other processes of this user (a training job is one) cannot read our memory or our environment."""
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Descendants whose parent ends become our children, so that a daemon cannot slip away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def bound_to(parent: int, *, cores: Collection[int] = (), door: Path | None = None) -> Callable[[], None]:
    """For the moment between fork and exec: SIGKILL when the parent's thread dies, no new privileges, and no
    other cores than these, where some are given. `door`: of the control group that the child enters.
    """

    def bind() -> None:
        if door is not None:
            _enter(door)
        if cores:
            os.sched_setaffinity(0, cores)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if os.getppid() != parent:  # it died before the kernel was told
            os._exit(1)

    return bind


def _enter(door: Path) -> None:
    with contextlib.suppress(OSError):  # without it, a job has the other marks
        entering = os.open(door, os.O_WRONLY)
        os.write(entering, b"0")
        os.close(entering)


def reap_adopted(except_pid: int | None) -> None:
    """Collects ended orphans, so that a long training does not fill the process table."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == except_pid:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)

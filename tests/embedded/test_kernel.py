"""The lifeline: what it guards ends with its owner, what was released does not."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.live import until
from tunebook_server.embedded.kernel import Lifeline

GUARD_AND_WAIT = """
import os, signal, subprocess, sys
from tunebook_server.embedded.kernel import Lifeline
lifeline = Lifeline()
quiet = {"process_group": 0, "stdout": subprocess.DEVNULL}
guarded, released = (subprocess.Popen(["sleep", "1000"], **quiet) for _ in range(2))
for child in (guarded, released):
    lifeline.guard(child.pid, signal.SIGKILL)
lifeline.release(released.pid, signal.SIGKILL)
print(guarded.pid, released.pid, lifeline.process.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"], process_group=0)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_when_its_owner_is_killed_the_guarded_end_and_the_released_live() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", GUARD_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout
    guarded, released, watcher = (psutil.Process(int(pid)) for pid in owner.stdout.readline().split())
    owner.kill()
    owner.communicate()
    until(
        lambda: not guarded.is_running() and not watcher.is_running(), "the guarded one and the watcher end"
    )
    assert released.is_running()
    released.kill()


def test_closing_it_ends_what_is_still_guarded() -> None:
    lifeline = Lifeline()
    with sleeper() as first, sleeper() as second:
        lifeline.guard(first.pid, signal.SIGKILL)
        lifeline.guard(second.pid, signal.SIGTERM)
        lifeline.close()
        assert first.wait(10) == -signal.SIGKILL
        assert second.wait(10) == -signal.SIGTERM


def test_a_killed_watcher_disturbs_nobody() -> None:
    lifeline = Lifeline()
    with sleeper() as child:
        lifeline.guard(child.pid, signal.SIGKILL)
        lifeline.process.kill()
        lifeline.process.wait()
        lifeline.guard(child.pid, signal.SIGKILL)
        lifeline.close()
        assert child.poll() is None

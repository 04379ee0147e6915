"""R19: a cancel really stops: nothing that a job started, however it hides, outlives it."""

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.live import GRACE_SECONDS, Live, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import broken, runs
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults

SIGNALLED_SECONDS, GONE_SECONDS = 15.0, GRACE_SECONDS + 5
HIDES = """
import os, pathlib, signal, sys, time
folder = pathlib.Path({folder!r})
number = pathlib.Path(os.environ["TUNEBOOK_JOB"]).parent.name
signal.signal(signal.SIGTERM, lambda *_: (folder / f"told-{{number}}").touch())
def note(kind):
    (folder / f"pid-{{number}}-{{kind}}").write_text(str(os.getpid()))
if os.fork() == 0:  # a child that will not hear
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("child")
    while True: signal.pause()
if os.fork() == 0:  # a daemon: twice forked, a session of its own, and, after exec, no environment
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.closerange(0, 3)
    note("daemon")
    os.execve("/bin/sleep", ["sleep", "3600"], {{}})
note("job")
while True: time.sleep(0.05)
"""
NO_GROUP = "from tunebook_worker import cgroup\ncgroup.create = lambda job_file, note: None\n"
PID_ALONE = (
    NO_GROUP
    + """
import psutil
from tunebook_worker.tree import Tree
def members(tree):
    try:
        return [p for p in [psutil.Process(tree.session)] if p.status() != "zombie"]
    except psutil.NoSuchProcess:
        return []
Tree.members = members
"""
)
VARIANTS = {"in a control group where there is one": "", "without control groups": NO_GROUP}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_cancel_leaves_no_descendant(
    variant: str, postgres: Postgres, tmp_path: Path, size: Size, figures: Figures
) -> None:
    cancels = size(p=3, n=25)
    with tunebook(postgres, tmp_path) as live:
        told, gone, survivors = cancel_each(live, tmp_path, cancels, variant)
    assert survivors == []
    assert told <= SIGNALLED_SECONDS
    assert gone <= GONE_SECONDS
    figures(cancels=cancels, survivors=0, slowest_signal_s=told, slowest_to_be_gone_s=gone)


def test_killing_the_pid_alone_leaves_some(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    """The control: a supervisor that ends the process it started, and no other."""
    with tunebook(postgres, tmp_path) as live:
        _, _, survivors = cancel_each(live, tmp_path, 1, PID_ALONE)
    assert survivors
    figures(control=f"kill of the pid alone: caught, {len(survivors)} of 3 survive")


def cancel_each(
    live: Live, folder: Path, cancels: int, variant: str
) -> tuple[float, float, list[psutil.Process]]:
    """One trial after another, in the one slot that there is. Seconds from a cancel to its SIGTERM and from
    there to an ended trial, at most, and who lives on (no longer: they are ended here)."""
    told = gone = 0.0
    survivors: list[psutil.Process] = []
    with live.worker(PYTHONPATH=broken(folder / "variant", variant)):
        study = live.study(live.script(HIDES.format(folder=str(folder))), trials=cancels)
        for number in range(cancels):
            trial = int(live.running(study)["id"])
            notes = until(lambda: hidden(folder, trial), "the job and its descendants run")  # noqa: B023
            started = time.monotonic()
            live.api.post(f"/trials/{trial}:cancel")
            until((folder / f"told-{trial}-1").exists, "the job is told")
            told, heard = max(told, time.monotonic() - started), time.monotonic()
            until(lambda: live.trial(trial)["state"] == "stopped", "the trial has ended")  # noqa: B023
            gone = max(gone, time.monotonic() - heard)
            survivors += [process for process in notes if runs(process)]
            assert len([t for t in live.trials(study) if t["state"] == "stopped"]) == number + 1
    for survivor in survivors:
        with contextlib.suppress(ProcessLookupError):
            os.kill(survivor.pid, signal.SIGKILL)
    return told, gone, survivors


def hidden(folder: Path, trial: int) -> list[psutil.Process]:
    """All three, or none yet; the daemon only once it has forgotten its environment."""
    notes = [path for path in folder.glob(f"pid-{trial}-1-*") if path.read_text()]
    processes = [psutil.Process(int(path.read_text())) for path in notes]
    if len(processes) < 3 or not any(p.name() == "sleep" for p in processes):
        return []
    return processes

"""A worker that is cut off, or sleeps, ends its job before anybody else can begin the same trial."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live import Live, Process, until

pytestmark = pytest.mark.faults
STAYS = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    signal.pause()
"""
REPORTS = """
import time, tunebook
trial = tunebook.current_trial()
for step in range(10**6):
    trial.report(step, {"loss": float(trial.epoch)})
    time.sleep(0.05)
"""


@contextlib.contextmanager
def asleep(*processes: psutil.Process) -> Iterator[None]:
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def overlap(live: Live, cut_off: Process, url: str, *, python_path: str = "") -> bool:
    """Whether the first attempt's job still runs when the second one's does, on another worker."""
    with live.worker(TUNEBOOK_URL=url, PYTHONPATH=python_path):
        study = live.study(live.script(STAYS))
        trial = int(live.running(study)["id"])
        until(lambda: live.processes_of(trial, 1), "the first attempt's job runs")
        with live.worker():
            cut_off.signal(signal.SIGSTOP)
            try:
                until(lambda: live.processes_of(trial, 2), "the second attempt's job runs")
                return bool(live.processes_of(trial, 1))
            finally:
                cut_off.signal(signal.SIGCONT)


def test_a_partitioned_worker_never_overlaps_with_its_successor(live: Live) -> None:
    with live.replica() as (cut_off, url):
        assert not overlap(live, cut_off, url)


def test_without_the_fence_they_do_overlap(live: Live, tmp_path: Path) -> None:
    """The negative control: the same harness, with supervisors that think they were answered just now."""
    (tmp_path / "sitecustomize.py").write_text(
        "from tunebook_worker.beats import Beats\nBeats.silent_seconds = lambda beats: 0.0\n"
    )
    with live.replica() as (cut_off, url):
        assert overlap(live, cut_off, url, python_path=str(tmp_path))


def test_a_supervisor_that_slept_through_its_lease_writes_nothing_afterwards(live: Live) -> None:
    """It alone: the worker and the job go on. R2 of tests/promises has all of them asleep."""
    with live.worker() as first:
        study = live.study(live.script(REPORTS))
        trial = int(live.running(study)["id"])
        until(lambda: live.trial(trial)["last_step"] is not None, "the first attempt reports")
        children = psutil.Process(first.pid).children()
        supervisors = [p for p in children if "tunebook_worker.supervisor" in p.cmdline()]
        with live.worker(), asleep(*supervisors):
            until(lambda: live.trial(trial)["epoch"] == 2, "the second worker has the trial")
            until(lambda: live.points(trial), "the second attempt reports")
            for process in supervisors:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
            until(
                lambda: not live.processes_of(trial, 1), "the first attempt's job is gone", within_seconds=5
            )
            assert {value for _, value in live.points(trial)} == {2.0}
            live.api.post(f"/trials/{trial}:cancel")
            live.ended(study)
        assert {value for _, value in live.points(trial)} == {2.0}

"""R23: a trial that takes its job down each time ends poisoned, and its neighbours do not notice."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.live import tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import rows
from tunebook_server.embedded.postgres import Postgres

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("promises")]

SEGFAULT = "import ctypes, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nctypes.string_at(0)"
EXHAUSTS = """
import os, pathlib, signal
limit = pathlib.Path({limit!r})
try:  # the kernel's own answer to a job without memory, where a test may ask for it
    limit.mkdir(exist_ok=True)
    (limit / "memory.limit_in_bytes").write_text(str(64 << 20))
    (limit / "cgroup.procs").write_text("0")
except OSError:
    os.kill(os.getpid(), signal.SIGKILL)
hoard = []
while True:
    hoard.append(bytearray(os.urandom(1 << 20)))
"""
NEIGHBOUR = """
import pathlib, time
print('{{"step": 1, "loss": 1}}', flush=True)
done, folder = 0, pathlib.Path({folder!r})
while not (folder / "stop").exists():
    time.sleep(0.01)
    done += 1
    (folder / "part").write_text(str(done))
    (folder / "part").replace(folder / "done")
"""
BAD = {"segfault": (SEGFAULT, "SIGSEGV"), "memory": (EXHAUSTS, "SIGKILL")}
FREE = """
from tunebook_server.domain import lifecycle
lifecycle.UNCHARGED |= {lifecycle.Outcome.FAILED}
"""


@pytest.mark.parametrize("kind", BAD)
def test_three_attempts_then_poisoned(
    kind: str, postgres: Postgres, tmp_path: Path, size: Size, figures: Figures
) -> None:
    bad, share = size(p=2, n=20), size(p=0.0, n=0.95)  # a small run beside others measures them, not us
    program, number = BAD[kind]
    limit = Path(f"/sys/fs/cgroup/memory/tunebook-test-{tmp_path.parent.name}")
    with tunebook(postgres, tmp_path) as live, live.worker("first", slots=2), live.worker("second", slots=1):
        neighbour = live.study(live.script(NEIGHBOUR.format(folder=str(tmp_path))))
        before = pace(tmp_path, 5.0)
        study = live.study(live.script(program.format(limit=str(limit))), trials=bad, parallel=2)
        started, done = time.monotonic(), count(tmp_path)
        trials = live.ended(study, bad, within_seconds=60 + 20 * bad)
        during = (count(tmp_path) - done) / (time.monotonic() - started)
        (tmp_path / "stop").touch()
        assert live.ended(neighbour)[0]["state"] == "completed"
        assert [(t["state"], t["poisoned"], t["attempts"]) for t in trials] == [("failed", True, 3)] * bad
        for trial in trials:
            assert trial["reason"].startswith("poisoned: each of 3 attempts")
            assert number in trial["reason"]
            assert "first" in trial["reason"] or "second" in trial["reason"]
    if limit.exists():
        limit.rmdir()
    assert during >= share * before
    measured: dict[str, Any] = {f"{kind}_trials": bad, "poisoned_after_3_attempts": bad}
    figures(**measured, neighbours_pace_in_percent=round(100 * during / before, 1))


def test_attempts_that_cost_nothing_would_go_on(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    """The control: a server that charges no failed attempt."""
    with tunebook(postgres, tmp_path, variant=FREE) as live, live.worker():
        live.study(live.script(SEGFAULT))
        tried = "SELECT count(*) AS attempts FROM attempts WHERE outcome IS NOT NULL"
        until(lambda: rows(live, tried)[0]["attempts"] > 3, "it is tried for a fourth time")
    figures(control="failures not charged: caught, a fourth attempt")


def test_exit_codes_and_endings_of_ours_are_no_poison(postgres: Postgres, tmp_path: Path) -> None:
    with tunebook(postgres, tmp_path) as live, live.worker(slots=2):
        exits = live.study(live.script("import sys; sys.exit(3)"), attempts=2)
        hangs = live.study(live.script("import signal; signal.pause()"), attempts=2, silence_seconds=1)
        shell = live.study(live.script("import sys; sys.exit(139)"), attempts=2)
        assert [live.ended(study)[0]["poisoned"] for study in (exits, hangs, shell)] == [False, False, True]


def count(folder: Path) -> int:
    return int((folder / "done").read_text())


def pace(folder: Path, seconds: float) -> float:
    """Steps a second of the neighbour alone."""
    until((folder / "done").exists, "the neighbour trains")
    started, done = time.monotonic(), count(folder)
    until(lambda: time.monotonic() - started >= seconds, "enough to compare with")
    return (count(folder) - done) / (time.monotonic() - started)

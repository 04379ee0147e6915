"""R23: a trial that takes its job down each time ends poisoned, and its neighbours do not notice."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.live import tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import rows
from tunebook_server.embedded.postgres import Postgres

pytestmark = [pytest.mark.faults, pytest.mark.quiet]

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
WELL = """print('{"step": 1, "loss": 1}')"""
AT_ONCE = 2
BAD = {"segfault": (SEGFAULT, "SIGSEGV"), "memory": (EXHAUSTS, "SIGKILL")}
FREE = """
from tunebook_server.domain import lifecycle
lifecycle.UNCHARGED |= {lifecycle.Outcome.FAILED}
"""


@pytest.mark.parametrize("kind", BAD)
def test_three_attempts_then_poisoned(
    kind: str, postgres: Postgres, tmp_path: Path, size: Size, figures: Figures
) -> None:
    """In turns with trials that are well and start as many jobs: what else runs on this machine, and what
    starting a job costs, hits both alike."""
    rounds, share = size(p=1, n=10), size(p=0.0, n=0.95)  # a single round says little of the pace
    program, number = BAD[kind]
    limit = Path(f"/sys/fs/cgroup/memory/tunebook-test-{tmp_path.parent.name}")
    beside_good, beside_bad = Pace(tmp_path), Pace(tmp_path)
    with tunebook(postgres, tmp_path) as live, live.worker("first", slots=2), live.worker("second", slots=1):
        neighbour = live.study(live.script(NEIGHBOUR.format(folder=str(tmp_path))))
        until((tmp_path / "done").exists, "the neighbour trains")
        for _ in range(rounds):
            with beside_good:
                good = live.study(live.script(WELL), trials=3 * AT_ONCE, parallel=AT_ONCE)
                live.ended(good, 3 * AT_ONCE, within_seconds=60)
            with beside_bad:
                study = live.study(
                    live.script(program.format(limit=str(limit))), trials=AT_ONCE, parallel=AT_ONCE
                )
                trials = live.ended(study, AT_ONCE, within_seconds=60)
            ends = [(t["state"], t["poisoned"], t["attempts"]) for t in trials]
            assert ends == [("failed", True, 3)] * AT_ONCE
            for trial in trials:
                assert trial["reason"].startswith("poisoned: each of 3 attempts")
                assert number in trial["reason"]
                assert "first" in trial["reason"] or "second" in trial["reason"]
        (tmp_path / "stop").touch()
        assert live.ended(neighbour)[0]["state"] == "completed"
    if limit.exists():
        limit.rmdir()
    measured: dict[str, Any] = {
        f"{kind}_trials": rounds * AT_ONCE,
        "poisoned_after_3_attempts": rounds * AT_ONCE,
    }
    kept = beside_bad.steps_a_second / beside_good.steps_a_second
    figures(**measured, neighbours_pace_in_percent=round(100 * kept, 1))
    assert kept >= share


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


class Pace:
    """Steps of the neighbour while this is entered, again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._steps, self._seconds = 0, 0.0

    @property
    def steps_a_second(self) -> float:
        return self._steps / self._seconds

    def __enter__(self) -> None:
        self._steps -= self._count()
        self._seconds -= time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._steps += self._count()
        self._seconds += time.monotonic()

    def _count(self) -> int:
        return int((self._folder / "done").read_text())

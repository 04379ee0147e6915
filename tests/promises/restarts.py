"""Loops of the SDK that train while their server is killed or told to end; requests that wait inside it."""

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.live import until
from tests.promises.jobs import rows
from tests.promises.loops import compared, loop_study, stored
from tests.promises.running import Running
from tests.promises.training import METRICS, values
from tunebook.api import Api

LOOPS = 4
DRAINED_SECONDS = 10.0
BACK_SECONDS = 240.0
"""For a server to start and loops to find it, on a machine that is busy with other things."""


def train_through_restarts(
    live: Running, folder: Path, points: int, restarts: int, restart: Callable[[bool], object]
) -> Counter[str]:
    """The server is killed and told to end in turn (`restart(gently)`), each time after it has taken a batch.
    What the curves then lack, double or change, and what the processes of the loops said."""
    study, stop = loop_study(live.api), folder / "stop"
    with contextlib.ExitStack() as running:
        loops = [
            running.enter_context(loop(live, study, folder / f"spool-{number}", points, stop))
            for number in range(LOOPS)
        ]
        trials = [spoken(process)["trial"] for process in loops]
        until(lambda: taken(live, study) >= LOOPS, "each loop has reported", BACK_SECONDS)
        for number in range(restarts):
            before = taken(live, study)
            until(lambda: taken(live, study) > before, "reports arrive", BACK_SECONDS)  # noqa: B023
            restart(number % 2 == 1)
        stop.touch()
        said = [spoken(process) for process in loops]
        exceptions = sum(process.wait(60) != 0 for process in loops)
    found: Counter[str] = Counter(lost=0, doubled=0, wrong=0, exceptions=exceptions, points=0)
    for trial, (steps, finished) in zip(trials, ((s["steps"], s["finished"]) for s in said), strict=True):
        found["exceptions"] += not finished
        for metric in METRICS:
            expected = [(step, values(step)[metric]) for step in range(steps)]
            found.update(compared(expected, stored(live.api, trial, metric)))
            found["points"] += steps
    return found


@contextlib.contextmanager
def loop(live: Running, study: int, spool: Path, points: int, stop: Path) -> Iterator[subprocess.Popen[str]]:
    steps = points // LOOPS // len(METRICS)
    argv = [sys.executable, "-m", "tests.promises.training"]
    argv += [live.url, str(study), str(spool), str(steps), str(stop)]
    environment = {**live.environment, "TUNEBOOK_TOKEN": live.token}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def spoken(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def taken(live: Running, study: int) -> int:
    """Batches of the study in the database."""
    counted = (
        "SELECT count(*) AS batches FROM metric_batches JOIN trials ON trials.id = trial_id"
        f" WHERE study_id = {study}"
    )
    return int(rows(live, counted)[0]["batches"])


def answered_through_a_sigterm(
    live: Running, claims: Sequence[dict[str, Any]], turn: int, server: psutil.Process
) -> float:
    """Reports that wait inside the server, for a lock, while it is told to end: all of them are answered, and
    then it ends. The seconds from the signal on."""
    waiting = len(claims)
    with ThreadPoolExecutor(waiting) as pool, psycopg.connect(live.database_url) as locking:
        # Not all trials: what is compacted or sampled meanwhile would wait too, and be counted as a report.
        ids = [claim["trial"]["id"] for claim in claims]
        locking.execute("SELECT FROM trials WHERE id = ANY(%s) FOR UPDATE", (ids,))
        answers = [pool.submit(report_once, live.url, claim, turn) for claim in claims]
        until(lambda: queued(live) == waiting, "all of them wait for the lock")
        server.terminate()
        started = time.monotonic()
        with pytest.raises(psutil.TimeoutExpired):
            server.wait(0.5)  # they are waited for
        locking.rollback()
        taken = {"points": 1, "duplicate": False, "end": ""}
        assert [answer.result() for answer in answers] == [taken] * waiting
        assert server.wait(20) in (0, None)  # None: not our child
    seconds = time.monotonic() - started
    assert seconds <= DRAINED_SECONDS
    return seconds


def report_once(url: str, claim: dict[str, Any], turn: int) -> Any:
    batch = {"epoch": 1, "sequence": turn, "series": {"loss": {"step": [turn], "value": [0.5]}}}
    with contextlib.closing(Api(url, claim["token"], timeout_seconds=30)) as api:
        return api.post(f"/trials/{claim['trial']['id']}:report", batch)


def queued(live: Running) -> int:
    """Statements of the server that wait for a lock."""
    waits = (
        "SELECT count(*) AS statements FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(rows(live, waits)[0]["statements"])

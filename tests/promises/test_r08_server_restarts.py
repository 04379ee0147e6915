"""R8: a restart of the server is invisible to training."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.live import Live, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.loops import LONG_LEASE, ask, compared, loop_study, stored
from tests.promises.training import METRICS, values
from tunebook.api import Api
from tunebook_server.embedded.postgres import Postgres

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("promises")]

LOOPS = 4
BROKEN = "from tests.promises import variants; variants.acknowledge_before_commit()"


def test_training_does_not_notice_a_restart(
    durable: Callable[..., Postgres], tmp_path: Path, size: Size, figures: Figures
) -> None:
    points, restarts = size(p=20_000, n=1_000_000), size(p=2, n=40)
    with tunebook(durable(), tmp_path, **LONG_LEASE) as live:
        found = train_through_restarts(live, tmp_path, points, restarts)
    wrong = {name: found.pop(name) for name in ("lost", "doubled", "wrong", "exceptions")}
    assert wrong == {"lost": 0, "doubled": 0, "wrong": 0, "exceptions": 0}
    assert found["points"] >= points
    figures(kills=restarts // 2, sigterms=restarts // 2, **found, **wrong)


def test_an_answer_before_the_commit_would_lose_points(
    durable: Callable[..., Postgres], tmp_path: Path, figures: Figures
) -> None:
    """The control: a server that acknowledges a report before it has stored it."""
    with tunebook(durable(), tmp_path, variant=BROKEN, **LONG_LEASE) as live:
        found = train_through_restarts(live, tmp_path, points=4_000, restarts=2)
    assert found["lost"] > 0
    figures(control=f"acknowledged before the commit: caught, {found['lost']:,} lost")


def test_a_sigterm_answers_what_was_accepted(
    durable: Callable[..., Postgres], tmp_path: Path, size: Size, figures: Figures
) -> None:
    """Requests that wait inside the server, for a lock, while it is told to end."""
    waiting, turns, slowest = size(p=8, n=16), size(p=1, n=5), 0.0
    with tunebook(durable(), tmp_path, **LONG_LEASE) as live:
        claims = [ask(live.api, loop_study(live.api), "loop") for _ in range(waiting)]
        for turn in range(turns):
            with contextlib.ExitStack() as opened, psycopg.connect(live.database_url) as locking:
                pool = opened.enter_context(ThreadPoolExecutor(waiting))
                locking.execute("SELECT FROM trials FOR UPDATE")
                answers = [pool.submit(report_once, live.url, claim, turn) for claim in claims]
                until(lambda: queued(live) == waiting, "all of them wait for the lock")
                live.server.signal(signal.SIGTERM)
                started = time.monotonic()
                with pytest.raises(subprocess.TimeoutExpired):
                    live.server.popen.wait(0.5)  # they are waited for
                locking.rollback()
                assert [answer.result() for answer in answers] == [
                    {"points": 1, "duplicate": False}
                ] * waiting
                assert live.server.popen.wait(20) == 0
            slowest = max(slowest, time.monotonic() - started)
            assert slowest <= 10
            restarted(live)
    figures(drains_with_requests_waiting=turns, resets=0, slowest_drain_s=slowest)


def train_through_restarts(live: Live, folder: Path, points: int, restarts: int) -> Counter[str]:
    """Loops of the SDK train while the server is killed and told to end in turn, each time after it has taken
    something. What their curves then lack, double or change, and what their processes said."""
    study, stop = loop_study(live.api), folder / "stop"
    with contextlib.ExitStack() as running:
        loops = [
            running.enter_context(loop(live, study, folder / f"spool-{number}", points, stop))
            for number in range(LOOPS)
        ]
        trials = [spoken(process)["trial"] for process in loops]
        until(lambda: taken(live) >= LOOPS, "each loop has reported")
        for number in range(restarts):
            before = taken(live)
            until(lambda: taken(live) > before, "reports arrive")  # noqa: B023
            if number % 2:
                live.server.popen.terminate()
                assert live.server.popen.wait(20) == 0
            else:
                live.server.popen.kill()
                live.server.popen.wait()
            restarted(live)
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
def loop(live: Live, study: int, spool: Path, points: int, stop: Path) -> Iterator[subprocess.Popen[str]]:
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


def taken(live: Live) -> int:
    """Batches in the database."""
    with psycopg.connect(live.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM metric_batches").fetchone()
    assert row
    return int(row[0])


def restarted(live: Live) -> None:
    """A new server in the place of the one that ended."""
    live.processes.remove(live.server)
    live.processes.insert(0, live.processes.pop(live.processes.index(live.start_server())))


def report_once(url: str, claim: dict[str, Any], turn: int) -> Any:
    batch = {"epoch": 1, "sequence": turn, "series": {"loss": {"step": [turn], "value": [0.5]}}}
    with contextlib.closing(Api(url, claim["token"], timeout_seconds=30)) as api:
        return api.post(f"/trials/{claim['trial']['id']}:report", batch)


def queued(live: Live) -> int:
    """Statements of the server that wait for a lock."""
    with psycopg.connect(live.database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row
    return int(row[0])

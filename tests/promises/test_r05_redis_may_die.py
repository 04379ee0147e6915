"""R5: Redis may die, forget or be wiped: all trials run, once each, and nobody waits for it."""

import contextlib
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Live, tunebook, until
from tests.promises import redis_server
from tests.promises.conftest import Figures
from tests.promises.jobs import rows
from tests.promises.redis_server import Redis
from tunebook.api import Api
from tunebook.errors import TunebookError
from tunebook_server.embedded.postgres import Postgres

pytestmark = [redis_server.needs, pytest.mark.redis, pytest.mark.faults]

TRIALS, WORKERS, SLOTS = 200, 2, 3
TROUBLE_SECONDS, AWAY_SECONDS = 10.0, 3.0
IDLE_MOST_SECONDS, WRITE_P99_SECONDS = 30.0, 0.5
JOB = """
import time
print('{"step": 1, "loss": 0.5}', flush=True)
time.sleep(1)
"""
DEAF = """
import tunebook_worker.slots as slots
slots.Slots._wait = lambda self, seconds: self._nudge.wait()
"""
"""A worker that looks when it is told to, and never by itself."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Redis]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = Redis(folder).start()
    yield server
    server.end()


@pytest.mark.soak
def test_two_hundred_trials_while_redis_comes_and_goes(
    postgres: Postgres, broker: Redis, tmp_path: Path, figures: Figures, chance: random.Random
) -> None:
    with tunebook(postgres, tmp_path, TUNEBOOK_BROKER_URL=broker.url) as live, contextlib.ExitStack() as crew:
        for _ in range(WORKERS):
            crew.enter_context(live.worker(slots=SLOTS))
        study = live.study(live.script(JOB), trials=TRIALS, parallel=WORKERS * SLOTS)
        trouble, writing = Trouble(broker, chance), Writing(live, study)
        trouble.start()
        writing.start()
        try:
            done = f"SELECT count(*) AS n FROM trials WHERE study_id = {study} AND state = 'completed'"
            until(lambda: rows(live, done)[0]["n"] == TRIALS, "all trials are completed", 600)
        finally:
            trouble.end()
            writing.end()
        twice = rows(live, "SELECT trial_id FROM attempts GROUP BY 1 HAVING count(*) > 1")
        idle = idle_seconds(live)
    p99 = sorted(writing.seconds)[int(0.99 * (len(writing.seconds) - 1))]
    figures(
        trials=TRIALS,
        run_twice=len(twice),
        wiped=trouble.counts["wipe"],
        killed=trouble.counts["kill"],
        restarted=trouble.counts["restart"],
        longest_idle_s=round(idle, 1),
        writes=len(writing.seconds),
        write_p99_ms=round(p99 * 1000),
    )
    assert twice == []
    assert idle <= IDLE_MOST_SECONDS
    assert p99 <= WRITE_P99_SECONDS


def test_hints_that_were_lost_are_not_missed(
    postgres: Postgres, broker: Redis, tmp_path: Path, figures: Figures
) -> None:
    """Every hint of a study is lost; its trials run all the same. The control looks once and hints once."""
    with lost_hints(postgres, broker, tmp_path / "looks", "") as (live, study):
        assert {trial["state"] for trial in live.ended(study, 4)} == {"completed"}
    with lost_hints(postgres, broker, tmp_path / "deaf", DEAF) as (live, study):
        beats = "SELECT last_seen_at - started_at > interval '8 s' AS long FROM workers"
        until(lambda: rows(live, beats)[0]["long"], "the worker has beaten for a while")
        waiting = [trial for trial in live.trials(study) if trial["state"] == "queued"]
    assert len(waiting) == 4
    figures(
        trials_whose_hints_were_lost=4,
        completed=4,
        control="no second look, no second hint: caught, 4 of 4 wait",
    )


@contextlib.contextmanager
def lost_hints(postgres: Postgres, broker: Redis, data: Path, variant: str) -> Iterator[tuple[Live, int]]:
    data.mkdir()
    again = "2" if not variant else "86400"
    settings = {"TUNEBOOK_BROKER_URL": broker.url, "TUNEBOOK_HINT_AGAIN_SECONDS": again}
    with tunebook(postgres, data, variant=variant, **settings) as live, live.worker(slots=2):
        broker.end()
        study = live.study(live.script(JOB), trials=4, parallel=4)
        until(lambda: len(lost(live)) == 4, "the hints of all its trials are lost")
        broker.start()
        yield live, study


def lost(live: Live) -> set[int]:
    """Trials whose hint the control worker could not send, by its log."""
    lines = (live.data / "control.log").read_text().splitlines()
    return {
        json.loads(line)["trial_id"] for line in lines if '"trial_id"' in line and "hint not sent" in line
    }


class Trouble(threading.Thread):
    def __init__(self, broker: Redis, chance: random.Random) -> None:
        super().__init__()
        self._broker, self._chance = broker, chance
        self._over = threading.Event()
        self.counts = {"wipe": 0, "kill": 0, "restart": 0}

    def run(self) -> None:
        while not self._over.wait(TROUBLE_SECONDS):
            kind = self._chance.choice(list(self.counts))
            self.counts[kind] += 1
            if kind == "wipe":
                self._broker.wipe()
                continue
            self._broker.end(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
            self._over.wait(AWAY_SECONDS)
            self._broker.start()

    def end(self) -> None:
        self._over.set()
        self.join()


class Writing(threading.Thread):
    """Somebody edits a note all the time, and measures how long that takes."""

    def __init__(self, live: Live, study: int) -> None:
        super().__init__()
        self._url, self._token, self._study = live.url, live.token, study
        self._over = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        with contextlib.closing(Api(self._url, self._token)) as api:
            while not self._over.wait(0.1):
                began = time.monotonic()
                with contextlib.suppress(TunebookError):
                    api.request("PATCH", f"/studies/{self._study}", json={"note": f"{began}"})
                self.seconds.append(time.monotonic() - began)

    def end(self) -> None:
        self._over.set()
        self.join()


def idle_seconds(live: Live) -> float:
    """The longest time between the first claim and the last end in which nothing ran."""
    spans = rows(
        live,
        "SELECT extract(epoch FROM claimed_at)::float AS a, extract(epoch FROM ended_at)::float AS b"
        " FROM attempts ORDER BY claimed_at",
    )
    longest, until_now = 0.0, spans[0]["b"]
    for span in spans[1:]:
        longest = max(longest, span["a"] - until_now)
        until_now = max(until_now, span["b"])
    return longest

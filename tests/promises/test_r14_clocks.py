"""R14: clocks do not matter: no lease runs out early or late because a host's time is wrong, or is set."""

import contextlib
import itertools
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.live import SWEEP_SECONDS, Live, Process, tunebook, until
from tests.promises import clocks
from tests.promises.clocks import Clocks, Jumps
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import family, kill_all, rows, states
from tunebook_server.embedded.postgres import Postgres

pytestmark = [clocks.needs, pytest.mark.faults]

LATE_SECONDS = SWEEP_SECONDS + 1.0
HOUR_SECONDS, SERVER_SECONDS, JUMP_SECONDS = 3600, 300, 1.0
SLOTS = 2
JOB = """
import pathlib, time, tunebook
trial, step = tunebook.current_trial(), 0
while True:  # one that starts after the stop reports as well: without a value it would have failed
    trial.report(step := step + 1, {{"loss": 0.5}})
    if pathlib.Path({stop!r}).exists():
        break
    time.sleep(0.2)
"""
LEASE_SECONDS = 10.0
OWN_CLOCK = "from tests.promises import variants; variants.lease_by_own_clock()"


class Hosts:
    """Workers of one server address each, and what became of the attempts that they made."""

    def __init__(self, live: Live, open_: contextlib.ExitStack, *, lease_seconds: float) -> None:
        self.live, self._open, self._lease_seconds = live, open_, lease_seconds
        self._running: dict[str, Process] = {}
        self._killed_at: dict[str, Any] = {}
        """By the name of the worker, in the database's time."""

    def start(self, url: str, clock: Mapping[str, str]) -> str:
        """The name of one more worker."""
        name = f"host-{len(self._running) + len(self._killed_at)}"
        worker = self.live.worker(name, slots=SLOTS, TUNEBOOK_URL=url, **clock)
        self._running[name] = self._open.enter_context(worker)
        return name

    def busy(self) -> list[str]:
        """Those that live and run trials, once for each."""
        held = "SELECT name FROM workers JOIN trials ON worker_id = workers.id AND state = 'running'"
        return sorted(row["name"] for row in rows(self.live, held) if row["name"] in self._running)

    @property
    def kills(self) -> int:
        return len(self._killed_at)

    def kill(self, name: str) -> None:
        """The worker, its supervisors and their jobs, at once."""
        worker = self._running.pop(name)
        kill_all(family(self.live, worker))
        worker.popen.wait()
        self._killed_at[name] = rows(self.live, "SELECT clock_timestamp() AS now")[0]["now"]
        clocks.clear()

    def lost(self) -> tuple[int, list[float]]:
        """Attempts lost though their worker lived; and of the others, seconds from the end of the lease."""
        query = (
            "SELECT name, ended_at, extract(epoch FROM ended_at - coalesce(last_beat_at, claimed_at))::float8"
            f" - {self._lease_seconds} AS late FROM attempts JOIN workers ON workers.id = worker_id"
            " WHERE outcome = 'lost'"
        )
        false, late = 0, []
        for row in rows(self.live, query):
            killed_at = self._killed_at.get(row["name"])
            if killed_at is None or row["ended_at"] < killed_at:
                false += 1
            else:
                late.append(float(row["late"]))
        return false, late


def test_wrong_and_jumping_clocks(
    postgres: Postgres, tmp_path: Path, size: Size, chance: random.Random, figures: Figures
) -> None:
    workers, rounds, at_once, stop = size(p=2, n=4), size(p=1, n=3), size(p=1, n=2), tmp_path / "stop"
    lease_seconds, beat_seconds = size(p=(LEASE_SECONDS, 1.0), n=(20.0, 3.0))
    made, followed = Clocks(tmp_path / "clocks"), tmp_path / "clock"
    jumping = Jumps(followed, chance, most_seconds=HOUR_SECONDS, every_seconds=JUMP_SECONDS)
    kinds = [
        made.following(followed),
        made.wrong_by(HOUR_SECONDS),
        made.following(followed),
        made.wrong_by(-HOUR_SECONDS),
    ]
    with contextlib.ExitStack() as open_, jumping:
        live, urls = open_.enter_context(
            two_servers(postgres, tmp_path, made, lease_seconds=lease_seconds, beat_seconds=beat_seconds)
        )
        hosts = Hosts(live, open_, lease_seconds=lease_seconds)
        numbers = itertools.count()
        for number in itertools.islice(numbers, workers):
            hosts.start(urls[number % 2], kinds[number % 4])
        study = live.study(
            live.script(JOB.format(stop=str(stop))),
            trials=workers,
            parallel=workers,
            attempts=100,
            environment=sorted({name for kind in kinds for name in kind}),
        )
        for _ in range(rounds):
            until(lambda: len(hosts.busy()) == workers, "all trials run", 120)
            for name in chance.sample(sorted(set(hosts.busy())), k=min(at_once, len(set(hosts.busy())))):
                hosts.kill(name)
            for number in itertools.islice(numbers, at_once):
                hosts.start(urls[number % 2], kinds[number % 4])
        until(lambda: len(hosts.busy()) == workers, "all trials run again", 120)
        stop.touch()
        ended = [(trial["state"], trial["reason"]) for trial in live.ended(study, workers)]
        assert ended == [("completed", "")] * workers
        false, seconds = hosts.lost()
    late = sum(after > LATE_SECONDS for after in seconds)
    figures(
        workers_wrong_by_an_hour_or_jumping=workers,
        jumps=jumping.count,
        servers_wrong_by_s=f"±{SERVER_SECONDS}",
        kills=hosts.kills,
        attempts_lost_by_them=len(seconds),
        false_reaps=false,
        late_reaps=late,
        slowest_s=max(seconds),
    )
    assert len(seconds) >= hosts.kills
    assert (false, late) == (0, 0)


def test_a_lease_by_the_hosts_own_clock(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    """The control: the same servers, which reckon the end of a lease by themselves."""
    made = Clocks(tmp_path / "clocks")
    with contextlib.ExitStack() as open_:
        live, (ahead, behind) = open_.enter_context(two_servers(postgres, tmp_path, made, OWN_CLOCK))
        hosts = Hosts(live, open_, lease_seconds=LEASE_SECONDS)
        late = hosts.start(ahead, {})
        live.study(live.script("import signal; signal.pause()"), trials=SLOTS, parallel=SLOTS, attempts=100)
        until(lambda: states(live) == ["running"] * SLOTS, "the host of the fast server has all trials", 60)
        hosts.kill(late)
        hosts.start(behind, {})
        live.study(live.script("import signal; signal.pause()"), attempts=100)
        false = until(lambda: hosts.lost()[0], "the host of the slow server loses its trial at once", 60)
        overdue = (
            "SELECT count(*) AS some FROM attempts WHERE outcome IS NULL AND clock_timestamp()"
            f" - coalesce(last_beat_at, claimed_at) > interval '{LEASE_SECONDS + LATE_SECONDS} s'"
        )
        until(lambda: rows(live, overdue)[0]["some"] == SLOTS, "the others should have been noticed", 60)
    figures(control=f"lease by the server's clock: caught, {false} false, {SLOTS} late")


@contextlib.contextmanager
def two_servers(
    postgres: Postgres,
    data: Path,
    made: Clocks,
    variant: str = "",
    *,
    lease_seconds: float = LEASE_SECONDS,
    beat_seconds: float = 1.0,
) -> Iterator[tuple[Live, tuple[str, str]]]:
    """Addresses of one ahead of the true time and one behind it; the control worker is ahead, too.

    Leases are longer than elsewhere: a Python starts slowly where each look at the clock reads a file.
    """
    timings = {
        "TUNEBOOK_LEASE_SECONDS": str(lease_seconds),
        "TUNEBOOK_FENCE_SECONDS": str(0.9 * lease_seconds),
        "TUNEBOOK_BEAT_SECONDS": str(beat_seconds),
    }
    with contextlib.ExitStack() as open_:
        live = open_.enter_context(tunebook(postgres, data, variant=variant, **timings))
        ahead, behind = made.wrong_by(SERVER_SECONDS), made.wrong_by(-SERVER_SECONDS)
        live.processes.pop().stop()
        live.start("control", "control", **ahead)
        urls = [open_.enter_context(live.replica(**clock))[1] for clock in (ahead, behind)]
        yield live, (urls[0], urls[1])

"""R14: clocks do not matter: no lease runs out early or late because a host's time is wrong, or is set."""

import contextlib
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

pytestmark = [clocks.needs, pytest.mark.faults, pytest.mark.xdist_group("promises")]

LEASE_SECONDS = 10.0
TIMINGS = {"TUNEBOOK_LEASE_SECONDS": str(LEASE_SECONDS), "TUNEBOOK_FENCE_SECONDS": "9"}
"""Longer than elsewhere: a Python starts slowly when each look at the clock reads a file."""
LATE_SECONDS = SWEEP_SECONDS + 1.0
HOUR_SECONDS, SERVER_SECONDS, JUMP_SECONDS = 3600, 300, 1.0
SLOTS = 2
JOB = """
import pathlib, time, tunebook
trial, step = tunebook.current_trial(), 0
while not pathlib.Path({stop!r}).exists():
    trial.report(step := step + 1, {{"loss": 0.5}})
    time.sleep(0.2)
"""
OWN_CLOCK = "from tests.promises import variants; variants.lease_by_own_clock()"


class Hosts:
    """Workers of one server address each, and what became of the attempts that they made."""

    def __init__(self, live: Live, open_: contextlib.ExitStack) -> None:
        self.live, self._open = live, open_
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
        """Those that hold trials."""
        held = "SELECT DISTINCT name FROM workers JOIN trials ON worker_id = workers.id ORDER BY name"
        return [row["name"] for row in rows(self.live, held) if row["name"] in self._running]

    def kill(self, name: str) -> None:
        """The worker, its supervisors and their jobs, at once."""
        processes = family(self.live, self._running.pop(name))
        kill_all(processes)
        self._killed_at[name] = rows(self.live, "SELECT clock_timestamp() AS now")[0]["now"]
        clocks.forget(processes)

    def lost(self) -> tuple[int, list[float]]:
        """Attempts lost though their worker lived; and of the others, seconds from the end of the lease."""
        query = (
            "SELECT name, ended_at, extract(epoch FROM ended_at - coalesce(last_beat_at, claimed_at))::float8"
            f" - {LEASE_SECONDS} AS late FROM attempts JOIN workers ON workers.id = worker_id"
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
    workers, kills, stop = size(p=2, n=4), size(p=1, n=8), tmp_path / "stop"
    made, followed = Clocks(tmp_path / "clocks"), tmp_path / "clock"
    jumping = Jumps(followed, chance, most_seconds=HOUR_SECONDS, every_seconds=JUMP_SECONDS)
    kinds = [
        made.following(followed),
        made.wrong_by(HOUR_SECONDS),
        made.following(followed),
        made.wrong_by(-HOUR_SECONDS),
    ]
    with contextlib.ExitStack() as open_, jumping:
        live, urls = open_.enter_context(two_servers(postgres, tmp_path, made))
        hosts = Hosts(live, open_)
        for number in range(workers):
            hosts.start(urls[number % 2], kinds[number % 4])
        study = live.study(
            live.script(JOB.format(stop=str(stop))),
            trials=workers,
            parallel=workers,
            attempts=kills + 1,
            environment=sorted({name for kind in kinds for name in kind}),
        )
        until(lambda: states(live) == ["running"] * workers, "all trials run", 120)
        for number in range(workers, workers + kills):
            hosts.kill(chance.choice(hosts.busy()))
            hosts.start(urls[number % 2], kinds[number % 4])
            until(lambda: all_run_again(live, workers), "all trials run again", 120)
        stop.touch()
        assert [trial["state"] for trial in live.ended(study, workers)] == ["completed"] * workers
        false, seconds = hosts.lost()
    late = sum(after > LATE_SECONDS for after in seconds)
    figures(
        workers_wrong_by_an_hour_or_jumping=workers,
        jumps=jumping.count,
        servers_wrong_by_s=f"±{SERVER_SECONDS}",
        kills=kills,
        attempts_lost_by_them=len(seconds),
        false_reaps=false,
        late_reaps=late,
        slowest_s=max(seconds),
    )
    assert len(seconds) >= kills
    assert (false, late) == (0, 0)


def test_a_lease_by_the_hosts_own_clock(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    """The control: the same servers, which reckon the end of a lease by themselves."""
    made = Clocks(tmp_path / "clocks")
    with contextlib.ExitStack() as open_:
        live, (ahead, behind) = open_.enter_context(two_servers(postgres, tmp_path, made, OWN_CLOCK))
        hosts = Hosts(live, open_)
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
    postgres: Postgres, data: Path, made: Clocks, variant: str = ""
) -> Iterator[tuple[Live, tuple[str, str]]]:
    """Addresses of one ahead of the true time and one behind it; the control worker is ahead, too."""
    with contextlib.ExitStack() as open_:
        live = open_.enter_context(tunebook(postgres, data, variant=variant, **TIMINGS))
        ahead, behind = made.wrong_by(SERVER_SECONDS), made.wrong_by(-SERVER_SECONDS)
        live.processes.pop().stop()
        live.start("control", "control", **ahead)
        urls = [open_.enter_context(live.replica(**clock))[1] for clock in (ahead, behind)]
        yield live, (urls[0], urls[1])


def all_run_again(live: Live, trials: int) -> bool:
    """None is held by an attempt that waits for its lease."""
    query = (
        "SELECT count(*) AS some FROM trials JOIN attempts USING (epoch) WHERE trial_id = trials.id"
        " AND state = 'running' AND last_beat_at > clock_timestamp() - interval '3 s'"
    )
    return bool(rows(live, query)[0]["some"] == trials)

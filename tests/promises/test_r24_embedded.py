"""R24: `tunebook up` keeps the same promises: R1, R7, R8, R13 and R25 over its one tree of processes.

R15 is not here: tests/services/test_lifecycle_machine.py runs on the embedded Postgres as it is.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import until
from tests.promises.conftest import Figures, Size
from tests.promises.contention import consistent
from tests.promises.crashes import WRITERS, write_through_crashes
from tests.promises.embedded import Embedded, embedded
from tests.promises.jobs import goes_on, states
from tests.promises.kills import Kill, check_deaths, kill, p95
from tests.promises.loops import LONG_LEASE, ask, loop_study
from tests.promises.odd_numbers import VALUES, sent_and_read
from tests.promises.restarts import BACK_SECONDS, answered_through_a_sigterm, train_through_restarts

pytestmark = pytest.mark.faults

PROCESSES = 32


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """One for all tests whose trials never beat."""
    with embedded(tmp_path_factory.mktemp("embedded"), **LONG_LEASE) as tree:
        yield tree


@pytest.fixture
def live(tree: Embedded) -> Embedded:
    """Back from what the last test did to it."""
    until(tree.answers, "it answers", BACK_SECONDS)
    return tree


def test_many_processes_at_once_see_no_error(live: Embedded, size: Size, figures: Figures) -> None:
    """R13, with as many processes as lock a database in a file."""
    measured = consistent(live, PROCESSES, turns=size(p=4, n=50))
    figures(**{f"R13: {name}": value for name, value in measured.items()})


def test_numbers_keep_their_bits(live: Embedded, tmp_path: Path, figures: Figures) -> None:
    """R25, over API, CSV and SDK."""
    sent_and_read(live, tmp_path / "spool")
    figures(**{"R25: numbers bit equal": len(VALUES)})


def test_training_does_not_notice_restarts_of_the_server(
    live: Embedded, tmp_path: Path, size: Size, figures: Figures
) -> None:
    """R8. A server that ended is started again after a pause that doubles each time."""
    points, restarts = size(p=8_000, n=200_000), size(p=2, n=6)
    found = train_through_restarts(live, tmp_path, points, restarts, live.restart)
    assert {found[name] for name in ("lost", "doubled", "wrong", "exceptions")} == {0}
    assert found["points"] >= points
    claims = [ask(live.api, loop_study(live.api), "loop") for _ in range(WRITERS)]
    drained = answered_through_a_sigterm(live, claims, 0, live.process("server"))
    measured: dict[str, Any] = {"R8: kills": restarts // 2, "SIGTERMs": restarts // 2 + 1, **found}
    figures(**measured, drain_s=drained)


def test_an_acknowledged_point_survives_crashes_of_postgres(
    live: Embedded, size: Size, figures: Figures
) -> None:
    """R7: immediate stops and kill -9 in turn."""
    points, stops = size(p=20_000, n=200_000), size(p=2, n=6)
    found = write_through_crashes(live, points, stops, live.crash)
    assert found == {"lost": 0, "doubled": 0, "wrong": 0}
    measured: dict[str, Any] = {"R7: points": points, "writers": WRITERS, "crashes": stops, **found}
    figures(**measured)


def test_without_synchronous_commit_it_would_not(tmp_path: Path, figures: Figures) -> None:
    """The control, for what looks on: the same tree on a Postgres that acknowledges before it has written."""
    with embedded(tmp_path, **LONG_LEASE) as careless:
        careless.configure(synchronous_commit="off", wal_writer_delay="10s")
        found = write_through_crashes(careless, 20_000, 2, careless.crash)
    assert found["lost"] > 0
    figures(control=f"synchronous_commit=off: caught, {found['lost']} lost")


def test_kills_lose_no_trial(tmp_path: Path, size: Size, figures: Figures, chance: random.Random) -> None:
    """R1, of the tree's one worker: killed with all that belongs to it, it is back before its leases end."""
    trials, (whole, supervisor, child) = size(p=3, n=10), size(p=(1, 2, 2), n=(4, 10, 8))
    victims = ["whole"] * whole + ["supervisor"] * supervisor + ["child"] * child
    chance.shuffle(victims)
    record, deaths = tmp_path / "record", list[Kill]()
    record.mkdir()
    with embedded(tmp_path) as live:
        kills = {number: len(victims) * (number + 1) // trials for number in range(trials)}
        live.up.study(record, kills=kills, trials=trials)
        for number, victim in enumerate(victims):
            goes_on(record, 1)
            (record / f"kill-{number}").touch()
            deaths.append(kill(live, live.worker(), victim, still=live.still()))
        until(lambda: states(live) == ["completed"] * trials, "all trials end", BACK_SECONDS)
        seconds = check_deaths(live, deaths)
    measured: dict[str, Any] = {"R1: kills": len(victims), "attempts hit": len(seconds), "trials": trials}
    figures(**measured, lost=0, stale_writes=0, wrong_resumes=0, detection_p95_s=p95(seconds))

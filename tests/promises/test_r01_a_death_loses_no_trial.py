"""R1: the death of a worker, a supervisor or a job never loses a trial."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.live import LEASE_SECONDS, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import family, goes_on, kill_all, rows, states, train_study
from tests.promises.kills import Kill, check_deaths, kill, p95
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults

SLOTS = 2


def test_kills_of_all_kinds(
    postgres: Postgres, tmp_path: Path, size: Size, figures: Figures, chance: random.Random
) -> None:
    trials, (whole, supervisor, child) = size(p=4, n=20), size(p=(2, 4, 4), n=(25, 50, 25))
    victims = ["whole"] * whole + ["supervisor"] * supervisor + ["child"] * child
    chance.shuffle(victims)
    record, kills, waiting = tmp_path / "record", list[Kill](), list(victims)
    with tunebook(postgres, tmp_path) as live:
        study = train_study(live, record, trials=trials, parallel=SLOTS, kills=len(victims))
        while waiting:
            with live.worker("victim", slots=SLOTS) as worker:
                while waiting and worker.popen.poll() is None:
                    goes_on(record, 1)
                    (record / f"kill-{len(waiting)}").touch()
                    kills.append(kill(live, worker, waiting.pop()))
        with live.worker("victim", slots=SLOTS):
            ended = live.ended(study, trials, within_seconds=120)
        assert [t["state"] for t in ended] == ["completed"] * trials
        seconds = check_deaths(live, kills)
    measured: dict[str, Any] = {
        "kills": len(victims),
        "attempts_hit": len(seconds),
        "trials": trials,
        "lost": 0,
    }
    figures(**measured, stale_writes=0, wrong_resumes=0, detection_p95_s=p95(seconds))


def test_without_the_sweep_trials_are_lost(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    """The control: hints are acknowledged early, and nobody looks for leases that ran out."""
    with tunebook(postgres, tmp_path, TUNEBOOK_SWEEP_SECONDS="86400") as live:
        record = tmp_path / "record"
        train_study(live, record, trials=4, parallel=4, kills=1)
        with live.worker(slots=4) as worker:
            until(lambda: states(live) == ["running"] * 4, "all of them run")
            kill_all(family(live, worker))
        shutil.rmtree(live.data / "workers")  # nothing is left that could tell of them
        (record / "kill-0").touch()
        over = f"SELECT bool_and(now() > lease_expires_at + interval '{LEASE_SECONDS} s') AS long FROM trials"
        with live.worker(slots=4):
            until(lambda: rows(live, over)[0]["long"], "their leases ran out long ago")
            assert states(live) == ["running"] * 4
    figures(control="no sweep: caught, 4 of 4 lost")

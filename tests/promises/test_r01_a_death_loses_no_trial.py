"""R1: the death of a worker, a supervisor or a job never loses a trial."""

import contextlib
import random
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.live import LEASE_SECONDS, SWEEP_SECONDS, Live, Process, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import (
    family,
    goes_on,
    kill_all,
    late_writes,
    rows,
    states,
    supervisors,
    train_study,
    wrong_resumes,
)
from tunebook_server.embedded.postgres import Postgres

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("promises")]

SLOTS = 2
ALL = "SELECT trial_id, epoch, ended_at FROM attempts"
HELD, ENDED = f"{ALL} WHERE ended_at IS NULL", f"{ALL} WHERE ended_at IS NOT NULL"


def test_kills_of_all_kinds(
    postgres: Postgres, tmp_path: Path, size: Size, figures: Figures, chance: random.Random
) -> None:
    trials, (whole, supervisor, child) = size(p=4, n=20), size(p=(2, 4, 4), n=(25, 50, 25))
    victims = ["whole"] * whole + ["supervisor"] * supervisor + ["child"] * child
    chance.shuffle(victims)
    record, seconds, waiting = tmp_path / "record", list[float](), list(victims)
    with tunebook(postgres, tmp_path) as live:
        study = train_study(live, record, trials=trials, parallel=SLOTS, kills=len(victims))
        while waiting:
            with live.worker("victim", slots=SLOTS) as worker:
                while waiting and worker.popen.poll() is None:
                    goes_on(record, 1)
                    (record / f"kill-{len(waiting)}").touch()
                    seconds += kill(live, worker, waiting.pop())
        with live.worker("victim", slots=SLOTS):
            ended = live.ended(study, trials, within_seconds=120)
        assert [t["state"] for t in ended] == ["completed"] * trials
        attempts = rows(live, "SELECT outcome FROM attempts WHERE outcome <> 'released'")
        wrong = (wrong_resumes(live), late_writes(live))
    p95 = sorted(seconds)[int(0.95 * (len(seconds) - 1))]
    assert len(attempts) == trials + len(seconds)
    assert wrong == (0, 0)
    assert p95 <= LEASE_SECONDS + SWEEP_SECONDS + 1
    measured: dict[str, Any] = {
        "kills": len(victims),
        "attempts_hit": len(seconds),
        "trials": trials,
        "lost": 0,
    }
    figures(**measured, stale_writes=0, wrong_resumes=0, detection_p95_s=p95)


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


def kill(live: Live, worker: Process, victim: str) -> list[float]:
    """kill -9 of a supervisor, of a job's first process, or of worker, supervisors and jobs at once. For each
    attempt that this ended, the seconds after which the database knew."""
    began = rows(live, "SELECT clock_timestamp() AS at")[0]["at"]
    if victim == "whole":
        kill_all(family(live, worker))
        worker.popen.wait()
        until(lambda: not rows(live, HELD), "the attempts that it held have ended")
        return [ended_after(row, began) for row in rows(live, ENDED) if row["ended_at"] > began]
    supervisor, job, held = until(lambda: pair(worker), "a supervisor has a job")
    (supervisor if victim == "supervisor" else job).kill()
    of_it = "%s WHERE ended_at IS NOT NULL AND trial_id = %d AND epoch = %d"
    (row,) = until(lambda: rows(live, of_it % (ALL, *held)), "the attempt that it held has ended")
    return [ended_after(row, began)]


def ended_after(attempt: Mapping[str, Any], began: datetime) -> float:
    seconds: float = (attempt["ended_at"] - began).total_seconds()
    return seconds


def pair(worker: Process) -> tuple[psutil.Process, psutil.Process, tuple[int, int]] | None:
    """A supervisor, the first process of its job once that runs its own program, and the attempt."""
    for supervisor in supervisors(worker):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended by itself
            for job in supervisor.children():
                if folder := job.environ().get("TUNEBOOK_JOB"):
                    return supervisor, job, attempt_of(Path(folder).parent)
    return None


def attempt_of(folder: Path) -> tuple[int, int]:
    trial, epoch = folder.name.split("-")
    return int(trial), int(epoch)

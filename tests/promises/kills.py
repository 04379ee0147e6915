"""kill -9 of parts of a worker, and what the database says of the attempts that this ended."""

import contextlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from tests.live import LEASE_SECONDS, SWEEP_SECONDS, until
from tests.promises.jobs import family, kill_all, late_writes, rows, runs, supervisors, wrong_resumes
from tests.promises.running import Running, Worker

ALL = "SELECT trial_id, epoch, outcome, ended_at FROM attempts"


def kill(
    live: Running,
    worker: Worker,
    victim: str,
    *,
    still: contextlib.AbstractContextManager[None] | None = None,
) -> list[float]:
    """kill -9 of a supervisor, of a job's first process ("child"), or of worker, supervisors and jobs at once
    ("whole"). For each attempt that this ended, the seconds after which the database knew.

    `still`: while this lasts, nothing starts a new worker in the place of a dead one.
    """
    began = now(live)
    if victim == "whole":
        with still or contextlib.nullcontext():
            victims = family(live, worker)
            kill_all(victims)
            until(lambda: not any(map(runs, victims)), "all of them are gone")
            its_own = f"{ALL} WHERE claimed_at <= '{now(live)}'"
        until(
            lambda: not rows(live, f"{its_own} AND ended_at IS NULL"), "the attempts that it held have ended"
        )
        ended = rows(live, f"{its_own} AND ended_at > '{began}'")
    else:
        supervisor, job, (trial, epoch) = until(lambda: pair(worker), "a supervisor has a job")
        (supervisor if victim == "supervisor" else job).kill()
        of_it = f"{ALL} WHERE ended_at IS NOT NULL AND trial_id = {trial} AND epoch = {epoch}"
        ended = until(lambda: rows(live, of_it), "the attempt that it held has ended")
    lost = [row for row in ended if row["outcome"] != "completed"]  # that one ended by itself, just before
    return [ended_after(row, began) for row in lost]


def check_deaths(live: Running, trials: int, seconds: list[float]) -> float:
    """No attempt too many, none that began elsewhere than its predecessor ended, no write of a dead one; the
    seconds after which 95 of 100 deaths were known."""
    attempts = rows(live, "SELECT outcome FROM attempts WHERE outcome <> 'released'")
    p95 = sorted(seconds)[int(0.95 * (len(seconds) - 1))]
    assert len(attempts) == trials + len(seconds)
    assert (wrong_resumes(live), late_writes(live)) == (0, 0)
    assert p95 <= LEASE_SECONDS + SWEEP_SECONDS + 1
    return p95


def now(live: Running) -> datetime:
    at: datetime = rows(live, "SELECT clock_timestamp() AS at")[0]["at"]
    return at


def ended_after(attempt: Mapping[str, Any], began: datetime) -> float:
    seconds: float = (attempt["ended_at"] - began).total_seconds()
    return seconds


def pair(worker: Worker) -> tuple[psutil.Process, psutil.Process, tuple[int, int]] | None:
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

"""kill -9 of parts of a worker, and what the database says of the attempts that this ended."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from tests.live import LEASE_SECONDS, SWEEP_SECONDS, until
from tests.promises.jobs import family, kill_all, late_writes, rows, runs, supervisors, wrong_resumes
from tests.promises.running import Running, Worker

ALL = "SELECT trial_id, epoch, outcome, claimed_at, ended_at FROM attempts"
ON_ITS_WAY = timedelta(seconds=3)
"""A claim that was sent before the kill may be worked on for so long after it."""


@dataclass(frozen=True, slots=True)
class Kill:
    """By the database's clock: when it began, and when all that was meant was gone. `attempt`: the only one
    that it was aimed at."""

    began: datetime
    gone: datetime
    attempt: tuple[int, int] | None = None

    def ended(self, attempt: Mapping[str, Any]) -> bool:
        """This attempt may be one that the kill ended."""
        if self.attempt is not None:
            return (attempt["trial_id"], attempt["epoch"]) == self.attempt
        claimed, ended = attempt["claimed_at"], attempt["ended_at"]
        return bool(claimed <= self.gone + ON_ITS_WAY and ended >= self.began)


def kill(
    live: Running,
    worker: Worker,
    victim: str,
    *,
    still: contextlib.AbstractContextManager[None] | None = None,
) -> Kill:
    """kill -9 of a supervisor, of a job's first process ("child"), or of worker, supervisors and jobs at once
    ("whole"); waits until the database knows of the attempts that this ended.

    `still`: while this lasts, nothing starts a new worker in the place of a dead one.
    """
    began = now(live)
    if victim == "whole":
        with still or contextlib.nullcontext():
            victims = family(live, worker)
            kill_all(victims)
            until(lambda: not any(map(runs, victims)), "all of them are gone")
            gone = now(live)
        open_ = f"{ALL} WHERE claimed_at <= '{gone}' AND ended_at IS NULL"
        until(lambda: not rows(live, open_), "the attempts that it held have ended")
        return Kill(began, gone)
    supervisor, job, (trial, epoch) = until(lambda: pair(worker), "a supervisor has a job")
    (supervisor if victim == "supervisor" else job).kill()
    of_it = f"{ALL} WHERE ended_at IS NOT NULL AND trial_id = {trial} AND epoch = {epoch}"
    until(lambda: rows(live, of_it), "the attempt that it held has ended")
    return Kill(began, now(live), (trial, epoch))


def check_deaths(live: Running, kills: Sequence[Kill]) -> list[float]:
    """No attempt died but by a kill, none began elsewhere than its predecessor ended, no write of a dead one
    is there. In order, the seconds until each death was known; 95 of 100 are within a lease and a sweep."""
    died = rows(live, f"{ALL} WHERE outcome NOT IN ('released', 'completed')")
    seconds = []
    for attempt in died:
        by = [kill for kill in kills if kill.ended(attempt)]
        assert by, f"nobody killed {dict(attempt)}"
        since = max(by[-1].began, attempt["claimed_at"])
        seconds.append((attempt["ended_at"] - since).total_seconds())
    assert len(seconds) >= sum(kill.attempt is not None for kill in kills)
    assert (wrong_resumes(live), late_writes(live)) == (0, 0)
    assert p95(seconds) <= LEASE_SECONDS + SWEEP_SECONDS + 1
    return sorted(seconds)


def p95(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.95 * (len(seconds) - 1))]


def now(live: Running) -> datetime:
    at: datetime = rows(live, "SELECT clock_timestamp() AS at")[0]["at"]
    return at


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

"""Jobs of the promises, workers that are broken on purpose, and what the database says of both."""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from tests.faults import train
from tests.live import Live, until
from tests.promises.running import Running, Worker


def train_study(live: Live, record: Path, *, trials: int, parallel: int, kills: int, steps: int = 30) -> int:
    """Trials of tests/faults/train.py that end one after another, the last one not before so many kills."""
    record.mkdir(exist_ok=True)
    fixed = {"record": str(record), "steps": steps, "kills": kills, "spread": trials}
    return live.study(
        ["python", train.__file__],
        folder=record,
        trials=trials,
        parallel=parallel,
        attempts=100,
        space=[
            *({"name": name, "type": "fixed", "value": value} for name, value in fixed.items()),
            {"name": "rate", "type": "float", "low": 0.1, "high": 1.0},
        ],
    )


def progress(record: Path) -> dict[str, int]:
    """By trial, the size of its record."""
    return {file.name: file.stat().st_size for file in record.glob("trial-*")}


def rows(live: Running, query: str) -> list[dict[str, Any]]:
    """Of the database itself: nothing asks the server."""
    with psycopg.connect(live.database_url, row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def outcomes(live: Running) -> list[str | None]:
    """Of all attempts, in order."""
    return [row["outcome"] for row in rows(live, "SELECT outcome FROM attempts ORDER BY trial_id, epoch")]


def states(live: Running) -> list[str]:
    return [row["state"] for row in rows(live, "SELECT state FROM trials ORDER BY id")]


def late_writes(live: Running) -> int:
    """Batches and checkpoints of an attempt that were accepted after the next one had begun."""
    found = rows(
        live,
        "SELECT (SELECT count(*) FROM metric_batches AS late JOIN attempts AS next"
        " ON next.trial_id = late.trial_id AND next.epoch > late.epoch"
        " AND late.received_at > next.claimed_at)"
        " + (SELECT count(*) FROM checkpoints AS late JOIN attempts AS next"
        " ON next.trial_id = late.trial_id AND next.epoch > late.epoch AND late.created_at > next.claimed_at)"
        " AS late",
    )
    return int(found[0]["late"])


def wrong_resumes(live: Running) -> int:
    """Attempts that did not go on from the last checkpoint that was registered before their claim."""
    found = rows(
        live,
        "SELECT count(*) AS wrong FROM attempts AS later WHERE later.epoch > 1"
        " AND later.resumed_from_step IS DISTINCT FROM (SELECT step FROM checkpoints AS saved"
        " WHERE saved.trial_id = later.trial_id AND saved.created_at <= later.claimed_at"
        " ORDER BY saved.epoch DESC, saved.step DESC LIMIT 1)",
    )
    return int(found[0]["wrong"])


def supervisors(worker: Worker) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(worker.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "tunebook_worker.supervisor" in child.cmdline():
                found.append(child)
    return found


def family(live: Running, worker: Worker) -> list[psutil.Process]:
    """The worker, its supervisors and all that carries the mark of one of their jobs."""
    mark = f"{live.data}/workers/{worker.name}/jobs/"
    jobs = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TUNEBOOK_JOB", "").startswith(mark):
                jobs.append(process)
        except psutil.Error:
            continue
    return [psutil.Process(worker.pid), *supervisors(worker), *jobs]


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """As one: each is stopped before the first one dies."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue


def broken(folder: Path, program: str) -> str:
    """A PYTHONPATH with which every Python of a worker runs this before anything else."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(program)
    return str(folder)


def goes_on(record: Path, jobs: int) -> None:
    """Until so many jobs have trained further than they have at this moment."""
    before = progress(record)
    until(
        lambda: sum(size > before.get(name, 0) for name, size in progress(record).items()) >= jobs,
        f"{jobs} jobs train",
    )

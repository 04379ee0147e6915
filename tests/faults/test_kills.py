"""kill -9 of each part of a running Tunebook, ten times in turn: all trials end, once, with all points."""

import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import ended_well
from tests.faults.train import loss
from tests.faults.tree import Up
from tests.live import LEASE_SECONDS, until

pytestmark = pytest.mark.faults

VICTIMS = ("supervisor", "training", "worker", "server", "postgres") * 2
TRIALS, STEPS = 6, 30
KILLS = {0: 4, 1: 4, 2: 8, 3: 8, 4: 10, 5: 10}
"""Trial n does not end before this many kills, so that there is always one to kill under."""


def test_ten_kills_lose_no_trial_no_point_and_run_nothing_twice(up: Up, record: Path) -> None:
    up.start()
    study = up.study(record, kills=KILLS, trials=TRIALS, steps=STEPS)
    for number, victim in enumerate(VICTIMS):
        wait_for_progress(up, record)
        up.kill(victim)
        (record / f"kill-{number}").touch()
    until(lambda: up.states() == ["completed"] * TRIALS, "all trials end", 120)
    check_attempts(up)
    check_fences(up)
    for trial in up.rows(f"SELECT id, number FROM trials WHERE study_id = {study}"):
        check_points(up, trial["id"], record / f"trial-{trial['number']}")
    for part in ("server", "worker"):
        assert up.said(f"The {part} ended (signal SIGKILL)")
    assert up.said("Postgres ended (signal SIGKILL)")
    catches_what_it_is_there_for(up, trial["id"], record / f"trial-{trial['number']}")


@pytest.mark.parametrize("sweep_seconds", ["1", "86400"], ids=["with the sweep", "control: without it"])
def test_a_host_that_vanished_is_noticed_by_the_sweep_alone(
    tmp_path: Path, record: Path, sweep_seconds: str
) -> None:
    with ended_well(Up(tmp_path / "data", TUNEBOOK_SWEEP_SECONDS=sweep_seconds)) as up:
        up.start()
        up.study(record, kills={0: 1}, trials=1, steps=20)
        until(lambda: any(sizes(record).values()), "the trial trains")
        up.kill("worker")
        until(lambda: up.part("training") is None, "its job is gone with it")
        shutil.rmtree(up.data / "workers")  # nothing is left that could tell of the trial
        (record / "kill-0").touch()
        if sweep_seconds == "1":
            until(lambda: up.states() == ["completed"], "another attempt ends")
        else:
            silence = f"SELECT now() - lease_expires_at > interval '{LEASE_SECONDS} s' AS long FROM trials"
            until(lambda: up.rows(silence)[0]["long"], "its lease ran out long ago")
            assert up.states() == ["running"]


def catches_what_it_is_there_for(up: Up, trial_id: int, record: Path) -> None:
    """The control: each check fails on a database in which its promise is broken."""
    up.rows("UPDATE attempts SET outcome = 'completed' RETURNING 1")
    with pytest.raises(AssertionError):
        check_attempts(up)
    up.rows("UPDATE metric_batches SET received_at = now() RETURNING 1")
    with pytest.raises(AssertionError):
        check_fences(up)
    up.rows(
        "DELETE FROM metric_chunks WHERE (trial_id, metric_id, epoch, level, sequence) = ("
        "SELECT trial_id, metric_id, epoch, level, sequence FROM metric_chunks"
        " JOIN metrics ON metrics.id = metric_id"
        f" WHERE trial_id = {trial_id} AND name = 'loss' ORDER BY level, epoch DESC, sequence DESC LIMIT 1)"
        " RETURNING 1"
    )
    with pytest.raises(AssertionError):
        check_points(up, trial_id, record)


def wait_for_progress(up: Up, record: Path) -> None:
    """Until both slots train again, each past its last record."""
    before = sizes(record)

    def both_go_on() -> bool:
        grown = [name for name, size in sizes(record).items() if size > before.get(name, 0)]
        return len(grown) >= 2 and len(up.parts("training")) == 2

    until(both_go_on, "both slots train")


def sizes(record: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in record.glob("trial-*")}


def check_attempts(up: Up) -> None:
    """One terminal attempt a trial, and it is the last; no attempt is open."""
    rows = up.rows("SELECT trial_id, epoch, outcome, ended_at FROM attempts ORDER BY trial_id, epoch")
    by_trial: dict[int, list[str]] = {}
    for row in rows:
        assert row["ended_at"] is not None
        by_trial.setdefault(row["trial_id"], []).append(row["outcome"])
    assert len(by_trial) == TRIALS
    for outcomes in by_trial.values():
        assert outcomes[-1] == "completed"
        assert not {"completed", "infeasible", "stopped"} & set(outcomes[:-1])
    # Each kill of a supervisor, a job or a worker ended an attempt; server and Postgres may die unnoticed.
    assert len(rows) >= TRIALS + sum(victim in ("supervisor", "training", "worker") for victim in VICTIMS)


def check_fences(up: Up) -> None:
    """No batch of an attempt was accepted after the next attempt began."""
    late = up.rows(
        "SELECT * FROM metric_batches AS batch JOIN attempts AS next"
        " ON next.trial_id = batch.trial_id AND next.epoch > batch.epoch"
        " WHERE batch.received_at > next.claimed_at"
    )
    assert late == []


def check_points(up: Up, trial_id: int, record: Path) -> None:
    """The visible curve has every step once, from the attempt that owns it, as the job wrote it down."""
    lines = [line.split() for line in record.read_text().splitlines()]
    written = {(int(step), float(value)) for _, step, value in lines}
    steps = range(1, int(lines[-1][1]) + 1)
    assert len(steps) >= STEPS
    resumed = {
        row["epoch"]: row["resumed_from_step"] or 0
        for row in up.rows(f"SELECT epoch, resumed_from_step FROM attempts WHERE trial_id = {trial_id}")
    }
    owner = {step: max(epoch for epoch, first in resumed.items() if first < step) for step in steps}
    curves = up.ask(f"/trials/{trial_id}/metrics", metric="loss", max_points=100_000)["items"]
    seen = [pair for curve in curves for pair in zip(curve["steps"], curve["values"], strict=True)]
    assert sorted(seen) == [(step, loss(step, owner[step])) for step in steps]
    assert set(seen) <= written

"""R17: no trial stays "running" for ever."""

from pathlib import Path

import pytest

from tests.live import GRACE_SECONDS, LEASE_SECONDS, Live, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import broken, outcomes, rows, states
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults

RESOLVED_SECONDS = 10.0
"""After the deadline, at most."""
ONE = """print('{"step": 1, "loss": 0.5}', flush=True)"""
HANGS = ONE + "\nimport signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"
TALKS = f"import time\nfor _ in range(20):\n    {ONE}\n    time.sleep(0.2)"
TALKS_FOR_EVER = f"import time\nwhile True:\n    {ONE}\n    time.sleep(0.2)"
DIES_AFTER_ITS_CLAIMS = """
import os, signal
from tunebook_worker.slots import Slots
def start(slots, claim, claimed_at):
    slots._room.take({})
    if not slots.has_room:
        os.kill(os.getpid(), signal.SIGKILL)
Slots._start = start
"""
STARTS_NO_FIRST_CHILD = """
import time
from tunebook_worker import launch
whole = launch.start
def start(argv, *, environment, **named):
    if environment["TUNEBOOK_JOB"].endswith("-1/job.json"):
        time.sleep(3600)
    return whole(argv, environment=environment, **named)
launch.start = start
"""


def test_a_worker_killed_between_claim_and_first_beat(
    postgres: Postgres, tmp_path: Path, size: Size, figures: Figures
) -> None:
    kills, slots = size(p=4, n=100), size(p=4, n=10)
    with tunebook(postgres, tmp_path) as live:
        study = claimed_and_killed(live, tmp_path, kills, slots)
        until(lambda: outcomes(live) == ["lost"] * kills, "each lease has run out", 120)
        late = slowest(live, f"claimed_at + interval '{LEASE_SECONDS} s'", "lost")
        with live.worker(slots=2):
            assert [t["state"] for t in live.ended(study, kills, 600)] == ["completed"] * kills
    assert late <= RESOLVED_SECONDS
    figures(killed_before_the_first_beat=kills, resolved=kills, slowest_after_the_deadline_s=late)


def test_without_the_sweep_it_would_stay(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    """The control: nobody looks for leases that ran out."""
    with tunebook(postgres, tmp_path, TUNEBOOK_SWEEP_SECONDS="86400") as live:
        claimed_and_killed(live, tmp_path, 2, 2)
        overdue = (
            f"SELECT bool_and(now() > lease_expires_at + interval '{LEASE_SECONDS} s') AS long FROM trials"
        )
        until(lambda: rows(live, overdue)[0]["long"], "the leases ran out long ago")
        assert states(live) == ["claimed"] * 2
    figures(control="no sweep: caught, 2 of 2 stay claimed")


def test_a_child_that_never_starts(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    variant = broken(tmp_path / "variant", STARTS_NO_FIRST_CHILD)
    with tunebook(postgres, tmp_path) as live, live.worker(PYTHONPATH=variant):
        study = live.study(live.script(ONE))
        (trial,) = live.ended(study)
        assert (trial["state"], outcomes(live)) == ("completed", ["lost", "completed"])
        late = slowest(live, f"claimed_at + interval '{LEASE_SECONDS} s'", "lost")
    assert late <= RESOLVED_SECONDS
    figures(never_started=1, slowest_after_the_deadline_s=late)


@pytest.mark.quiet  # with leases of seconds, a busy host loses a beat before its deadline
def test_a_child_that_hangs_while_its_supervisor_beats(
    postgres: Postgres, tmp_path: Path, size: Size, figures: Figures
) -> None:
    hangs = size(p=2, n=20)
    with tunebook(postgres, tmp_path) as live, live.worker(slots=6):
        off = live.study(live.script(HANGS))
        live.running(off)
        talking = live.study(live.script(TALKS), silence_seconds=3)
        ages = live.study(live.script(TALKS_FOR_EVER), attempts=1, limit_seconds=3)
        study = live.study(live.script(HANGS), trials=hangs, parallel=3, attempts=1, silence_seconds=2)
        trials = live.ended(study, hangs, within_seconds=60 + 10 * hangs)
        assert {t["state"] for t in trials} == {"failed"}
        reasons = [t["reason"] for t in trials]
        assert [reason for reason in reasons if "silence_seconds" not in reason] == []
        assert not any(t["poisoned"] for t in trials)
        late = slowest(live, "started_at + interval '2 s'", "failed")
        (old,) = live.ended(ages)
        assert (old["state"], "limit_seconds" in old["reason"]) == ("failed", True)
        assert live.ended(talking)[0]["state"] == "completed"
        stays_without_a_deadline(live, off)
    assert late <= RESOLVED_SECONDS + GRACE_SECONDS
    figures(hung=hangs, resolved=hangs, slowest_after_the_deadline_s=late)
    figures(control="deadline off: caught, it stays running")


def stays_without_a_deadline(live: Live, study: int) -> None:
    """The control: the same job, beating, long after the others were ended."""
    longer = f"SELECT started_at < now() - interval '{2 + RESOLVED_SECONDS} s' AS long FROM trials"
    until(lambda: rows(live, f"{longer} WHERE study_id = {study}")[0]["long"], "it has hung for long")
    (trial,) = live.trials(study)
    assert (trial["state"], trial["epoch"]) == ("running", 1)
    live.api.post(f"/trials/{trial['id']}:cancel")
    live.ended(study)


def claimed_and_killed(live: Live, folder: Path, trials: int, slots: int) -> int:
    """The study, once workers have claimed each of its trials and were killed before they started one."""
    study = 0
    for _ in range(trials // slots):
        with live.worker(slots=slots, PYTHONPATH=broken(folder / "variant", DIES_AFTER_ITS_CLAIMS)) as worker:
            study = study or live.study(live.script(ONE), trials=trials, parallel=trials)
            assert worker.popen.wait(60) == -9
    return study


def slowest(live: Live, deadline: str, outcome: str) -> float:
    """Seconds between the deadline of an attempt and its end, by the database's clock."""
    query = f"SELECT max(extract(epoch FROM ended_at - ({deadline})))::float8 AS late FROM attempts"
    return float(rows(live, f"{query} WHERE outcome = '{outcome}'")[0]["late"])

"""R20: a deploy, a preemption, a shutdown: no attempt is charged, and little work is done again."""

import itertools
import signal
import time
from pathlib import Path

import pytest

from tests.faults.train import CHECKPOINT_STEPS
from tests.live import Live, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import (
    broken,
    family,
    goes_on,
    kill_all,
    late_writes,
    outcomes,
    progress,
    rows,
    states,
    supervisors,
    train_study,
    wrong_resumes,
)
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults

SLOTS = 2
REQUEUED_SECONDS = 5.0
LEAVES = "from tunebook_worker import outcome\noutcome.released = lambda reason: outcome.left()\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"


def test_every_drain_is_free(postgres: Postgres, tmp_path: Path, size: Size, figures: Figures) -> None:
    drains = size(p=3, n=100)
    with tunebook(postgres, tmp_path) as live:
        record = tmp_path / "record"
        study = train_study(live, record, trials=SLOTS, parallel=SLOTS, kills=drains)
        slowest = max(drained(live, record, number) for number in range(drains))
        with live.worker(slots=SLOTS):
            assert [t["state"] for t in live.ended(study, SLOTS)] == ["completed"] * SLOTS
        assert charged(live) == SLOTS
        assert outcomes(live).count("released") == drains * SLOTS
        assert (wrong_resumes(live), late_writes(live)) == (0, 0)
        lost = most_steps_done_again(record)
    assert slowest <= REQUEUED_SECONDS
    assert lost <= CHECKPOINT_STEPS
    figures(sigterms=drains, charged=0, most_steps_done_again=lost, slowest_to_be_queued_s=slowest)


def test_a_worker_that_said_nothing_would_be_charged(
    postgres: Postgres, tmp_path: Path, figures: Figures
) -> None:
    """The control: workers that end their jobs and leave the rest to the lease."""
    with tunebook(postgres, tmp_path) as live:
        record = tmp_path / "record"
        train_study(live, record, trials=SLOTS, parallel=SLOTS, kills=1)
        seconds = drained(live, record, 0, PYTHONPATH=broken(tmp_path / "variant", LEAVES))
        assert charged(live) == SLOTS
    assert seconds > REQUEUED_SECONDS
    figures(control=f"nothing given back: caught, {SLOTS} of {SLOTS} charged, queued after {seconds:.1f} s")


@pytest.mark.parametrize(
    "whom", ["SIGUSR1 to the worker", "SIGXCPU to the worker", "SIGTERM to a supervisor"]
)
def test_a_preemption_is_free_and_called_so(whom: str, postgres: Postgres, tmp_path: Path) -> None:
    with tunebook(postgres, tmp_path) as live, live.worker() as worker:
        record = tmp_path / "record"
        train_study(live, record, trials=1, parallel=1, kills=1)
        goes_on(record, 1)
        number = signal.Signals[whom.split(maxsplit=1)[0]]
        if whom.endswith("supervisor"):
            supervisors(worker)[0].send_signal(number)
        else:
            worker.signal(number)
            assert worker.popen.wait(20) == 0
        until(lambda: outcomes(live)[0] == "preempted", "the attempt is given back")
        (first,) = rows(live, "SELECT charged, reason FROM attempts WHERE epoch = 1")
        assert not first["charged"]
        assert "The host was taken back" in first["reason"]


def test_sigkill_in_the_grace_is_a_death_like_any_other(
    postgres: Postgres, tmp_path: Path, figures: Figures
) -> None:
    """What an impatient service manager does to a worker whose job does not end."""
    with tunebook(postgres, tmp_path) as live:
        study = live.study(live.script(STUBBORN), attempts=3)
        with live.worker(TUNEBOOK_GRACE_SECONDS="600") as worker:
            trial = int(live.running(study)["id"])
            until(lambda: live.processes_of(trial), "the job runs")
            worker.signal(signal.SIGTERM)
            until(lambda: b"shutting down" in worker.log.read_bytes(), "the worker drains")
            kill_all(family(live, worker))
            until(lambda: outcomes(live) == ["lost"], "the lease ran out")
            assert (states(live), charged(live)) == (["queued"], 1)
            assert not live.processes_of(trial)
        with live.worker():
            until(lambda: live.trial(trial)["epoch"] == 2, "another worker goes on")
            live.api.post(f"/trials/{trial}:cancel")
            live.ended(study)
    figures(sigkills_in_the_grace=1, charged_as_lost=1)


def drained(live: Live, record: Path, number: int, **environment: str) -> float:
    """A worker in the midst of its jobs is told to end; seconds until they wait for another."""
    with live.worker(slots=SLOTS, **environment) as worker:
        until(lambda: len(progress(record)) == SLOTS, "both have begun")
        goes_on(record, SLOTS)
        (record / f"kill-{number}").touch()
        started = time.monotonic()
        worker.signal(signal.SIGTERM)
        until(lambda: set(states(live)) == {"queued"}, "its trials are queued")
        seconds = time.monotonic() - started
        assert worker.popen.wait(20) == 0
    return seconds


def charged(live: Live) -> int:
    return int(rows(live, "SELECT count(*) AS charged FROM attempts WHERE charged")[0]["charged"])


def most_steps_done_again(record: Path) -> int:
    """By what the jobs wrote down: the steps between the end of one attempt and where the next went on."""
    most = 0
    for file in record.glob("trial-*"):
        steps = [(int(epoch), int(step)) for epoch, step, _ in map(str.split, file.read_text().splitlines())]
        for (before, last), (after, first) in itertools.pairwise(steps):
            if after != before:
                most = max(most, last - first + 1)
    return most

"""How a running job is ended from outside: cancel, drain, a lost server, deaths. Nothing is left over."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.live import FENCE_SECONDS, LEASE_SECONDS, Live, Process, until
from tests.worker.engine_trials import SAVES_WHEN_TOLD
from tunebook_worker.orders import ONE_WISH_SECONDS

pytestmark = pytest.mark.faults
WAIT = "import signal; signal.pause()"
STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
signal.pause()
"""
DAEMON = """
import os, signal
if os.fork() == 0:
    if os.fork():
        os._exit(0)
    os.closerange(0, 3)
while True:
    signal.pause()
"""


def supervisors(worker: Process) -> list[psutil.Process]:
    children = psutil.Process(worker.pid).children()
    return [child for child in children if "tunebook_worker.supervisor" in child.cmdline()]


def started(live: Live, study: int, processes: int = 1) -> int:
    """The id of the study's trial, once it runs with so many processes."""
    trial = int(live.running(study)["id"])
    until(lambda: len(live.processes_of(trial)) >= processes, f"trial {trial} has {processes} processes")
    return trial


def test_a_cancel_reaches_a_child_that_ignores_sigterm(live: Live) -> None:
    with live.worker():
        study = live.study(live.script(STUBBORN))
        trial = started(live, study, processes=2)
        live.api.post(f"/trials/{trial}:cancel")
        (ended,) = live.ended(study)
        assert (ended["state"], ended["reason"], ended["epoch"]) == ("stopped", "cancelled", 1)
        assert not live.processes_of(trial)


def test_a_cancel_reaches_a_daemon(live: Live) -> None:
    with live.worker():
        study = live.study(live.script(DAEMON))
        trial = started(live, study, processes=2)
        live.api.post(f"/trials/{trial}:cancel")
        assert live.ended(study)[0]["state"] == "stopped"
        assert not live.processes_of(trial)


def test_what_a_completed_job_leaves_running_is_ended(live: Live) -> None:
    program = 'import os, signal\nif os.fork() == 0: signal.pause()\nprint(\'{"step": 1, "loss": 1}\')'
    with live.worker():
        study = live.study(live.script(program))
        (trial,) = live.ended(study)
        assert trial["state"] == "completed"
        assert not live.processes_of(trial["id"])


def test_a_drain_saves_charges_nothing_and_goes_on_elsewhere(live: Live) -> None:
    with live.worker() as first:
        study = live.study(live.script(SAVES_WHEN_TOLD))
        trial = started(live, study)
        until(lambda: live.trial(trial)["last_step"] is not None, "the first point has arrived")
        first.signal(signal.SIGTERM)
        assert first.popen.wait(20) == 0
        assert not live.processes_of(trial)
        assert live.trial(trial)["state"] == "queued"
    with live.worker():
        (ended,) = live.ended(study)
    assert (ended["state"], ended["epoch"]) == ("completed", 2)
    attempts = live.attempts(trial)
    assert [(a["outcome"], a["charged"]) for a in attempts] == [("released", False), ("completed", True)]
    assert attempts[1]["resumed_from_step"] == 7


def test_a_second_sigterm_is_immediate(live: Live) -> None:
    with live.worker(TUNEBOOK_GRACE_SECONDS="600") as worker:
        study = live.study(live.script(STUBBORN))
        trial = started(live, study, processes=2)
        worker.signal(signal.SIGTERM)
        until(lambda: b"shutting down" in worker.log.read_bytes(), "the worker drains")
        before = time.monotonic()
        until(lambda: time.monotonic() > before + ONE_WISH_SECONDS, "a second wish is another one")
        worker.signal(signal.SIGTERM)
        assert worker.popen.wait(20) == 0
        assert not live.processes_of(trial)
        assert [(a["outcome"], a["charged"]) for a in live.attempts(trial)] == [("released", False)]


def test_a_supervisor_that_is_killed_late_in_an_attempt_is_followed_by_its_salvage(live: Live) -> None:
    """Nothing of it waits for the lease, however long ago the claim was."""
    with live.worker() as worker:
        study = live.study(live.script(DAEMON), attempts=2)
        trial = started(live, study, processes=2)
        runs_since = time.monotonic()
        until(lambda: time.monotonic() > runs_since + FENCE_SECONDS + 1, "the claim is older than the fence")
        (supervisor,) = supervisors(worker)
        supervisor.kill()
        until(lambda: live.trial(trial)["epoch"] == 2, "the trial runs again")
        first = live.attempts(trial)[0]
        assert (first["outcome"], first["reason"]) == ("failed", "The supervisor was killed by SIGKILL.")


def test_a_killed_supervisor_costs_an_attempt_and_leaves_nothing(live: Live) -> None:
    with live.worker() as worker:
        study = live.study(live.script(DAEMON), attempts=2)
        trial = started(live, study, processes=2)
        (supervisor,) = supervisors(worker)
        supervisor.kill()
        until(lambda: live.trial(trial)["epoch"] == 2, "the trial runs again")
        until(
            lambda: not live.processes_of(trial, 1),
            "the first attempt's processes are gone",
        )
        first = live.attempts(trial)[0]
        assert (first["outcome"], first["charged"]) == ("failed", True)
        assert first["reason"] == "The supervisor was killed by SIGKILL."


def test_a_hung_supervisor_is_ended(live: Live) -> None:
    """SIGSTOP: it can neither beat nor fence itself off; the worker does it, when the lease is gone."""
    with live.worker() as worker:
        study = live.study(live.script(DAEMON), attempts=2)
        trial = started(live, study, processes=2)
        (supervisor,) = supervisors(worker)
        supervisor.suspend()
        until(
            lambda: not live.processes_of(trial, 1),
            "the first attempt's processes are gone",
        )
        until(lambda: live.attempts(trial)[0]["outcome"] == "lost", "the lease ran out")


def test_a_killed_job_is_tried_again(live: Live) -> None:
    with live.worker():
        study = live.study(live.script(WAIT), attempts=1)
        trial = started(live, study)
        for process in live.processes_of(trial):
            process.kill()
        (ended,) = live.ended(study)
        assert (ended["state"], ended["reason"]) == ("failed", "The job was killed by SIGKILL.")


def test_a_killed_worker_leaves_no_process(live: Live) -> None:
    with live.worker(name="killed") as worker:
        study = live.study(live.script(DAEMON), attempts=2)
        trial = started(live, study, processes=2)
        family = [*live.processes_of(trial), *supervisors(worker)]
        worker.signal(signal.SIGKILL)
        until(lambda: not [p for p in family if p.is_running()], "its supervisor and job are gone")
    until(lambda: live.attempts(trial)[0]["outcome"] == "lost", "the lease ran out")
    with live.worker(name="killed"):
        until(lambda: live.trial(trial)["epoch"] == 2, "the next worker of that name takes the trial")
        live.api.post(f"/trials/{trial}:cancel")
        live.ended(study)


def test_a_worker_and_its_supervisors_killed_at_once_are_cleared_up_by_the_next(live: Live) -> None:
    with live.worker(name="twice") as worker:
        study = live.study(live.script(DAEMON), attempts=1)
        trial = started(live, study, processes=2)
        (supervisor,) = supervisors(worker)
        worker.signal(signal.SIGSTOP)
        supervisor.kill()
        worker.signal(signal.SIGKILL)
        worker.popen.wait()
        until(
            lambda: len(live.processes_of(trial)) == 1,
            "the job died with its supervisor, its daemon did not",
        )
    with live.worker(name="twice"):
        until(lambda: not live.processes_of(trial), "the next worker ended it")
    assert live.ended(study)[0]["poisoned"]


def test_a_job_is_fenced_off_before_its_lease_runs_out(live: Live) -> None:
    with live.worker():
        study = live.study(live.script(STUBBORN))
        trial = started(live, study, processes=2)
        live.server.signal(signal.SIGSTOP)
        try:
            until(lambda: not live.processes_of(trial), "the job is gone", within_seconds=FENCE_SECONDS + 2)
        finally:
            live.server.signal(signal.SIGCONT)
        until(lambda: live.attempts(trial)[0]["outcome"] == "lost", "the lease ran out")
        live.api.post(f"/trials/{trial}:cancel")
        live.ended(study)


def test_a_server_that_is_away_for_a_while_is_invisible_to_the_job(live: Live, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    program = f"""
import pathlib, time, tunebook
trial = tunebook.current_trial()
trial.report(0, {{"loss": 1.0}})
while not pathlib.Path({str(go_on)!r}).exists():
    time.sleep(0.01)
for step in range(1, 1001):
    trial.report(step, {{"loss": 1.0 / step}})
pathlib.Path({str(tmp_path / "done")!r}).touch()
"""
    with live.worker():
        study = live.study(live.script(program))
        trial = started(live, study)
        until(lambda: live.trial(trial)["last_step"] == 0, "the first point has arrived")
        live.server.signal(signal.SIGSTOP)
        try:
            go_on.touch()
            until((tmp_path / "done").exists, "the job has ended", within_seconds=LEASE_SECONDS / 2)
        finally:
            live.server.signal(signal.SIGCONT)
        (ended,) = live.ended(study)
        assert (ended["state"], ended["epoch"]) == ("completed", 1)
        assert live.points(trial) == [(0, 1.0), *((step, 1.0 / step) for step in range(1, 1001))]


def test_two_workers_of_one_name_do_not_share_a_folder(live: Live) -> None:
    with live.worker(name="same") as worker:
        second = live.start(
            "second",
            "worker",
            "--name",
            "same",
            TUNEBOOK_URL=live.url,
            TUNEBOOK_WORKER_TOKEN_FILE=str(live.data / "same.token"),
        )
        assert second.popen.wait(20) == 2
        assert f"'same' already runs in {live.data}" in second.log.read_text()
        assert str(worker.pid) in second.log.read_text()

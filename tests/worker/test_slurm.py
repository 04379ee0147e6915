"""Trials as jobs of a real Slurm: each way in which they end, told apart."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import slurm
from tests.live import Live, Process, until
from tests.slurm import Cluster
from tests.worker.engine_trials import (
    QUICK,
    SAVES_WHEN_TOLD,
    WAIT,
    beats_for_longer_than_a_lease,
    cancel,
    outcome,
    running,
)
from tunebook_worker.orders import JobFolder

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(slurm.why_not()), reason=slurm.why_not() or "Slurm is here"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    started = Cluster(tmp_path_factory.mktemp("slurm"))
    started.start()
    yield started
    started.stop()


@contextlib.contextmanager
def worker(
    live: Live, cluster: Cluster, *, name: str = "", slots: int = 4, **settings: str
) -> Iterator[Process]:
    engine = {
        "TUNEBOOK_LAUNCHER": "slurm",
        "TUNEBOOK_ENGINE_POLL_SECONDS": "0.5",
        "TUNEBOOK_BEAT_SECONDS": "1",
    }
    with live.worker(name, slots=slots, **engine, **cluster.environment, **settings) as started:
        yield started


def test_trials_run_as_jobs_and_leave_nothing(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, name="clean"):
        study = live.study(live.script(QUICK), trials=3, parallel=3)
        ended = live.ended(study, 3)
        assert [trial["state"] for trial in ended] == ["completed"] * 3
        assert live.points(ended[0]["id"]) == [(1, 1.0)]
        jobs = live.data / "workers" / "clean" / "jobs"
        until(lambda: not list(jobs.glob("*-*")), "the folders are removed")
        until(lambda: not cluster.ask("squeue", "--noheader"), "no job is left")


def test_neither_the_order_nor_the_worker_s_token_is_seen_by_others(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, name="private"):
        study = live.study(live.script(WAIT))
        trial = running(live, study)
        (order,) = (live.data / "workers" / "private" / "jobs").glob("*/order.json")
        assert order.stat().st_mode & 0o077 == 0
        (job,) = cluster.jobs()
        shown = cluster.ask("scontrol", "show", "job", job, "--details")
        told = live.processes_of(trial)[0].parent()
        assert told is not None
        seen = f"{shown} {told.cmdline()} {told.environ()}"
        assert "tunebook_worker.on_node" in seen
        assert "tbk_" not in seen
        cancel(live, study, trial)


def test_a_waiting_job_keeps_its_lease(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, TUNEBOOK_SLURM_OPTIONS="--hold"):
        study = live.study(live.script(QUICK))
        (job,) = until(lambda: cluster.jobs(["PENDING"]), "the job waits")
        (trial,) = live.trials(study)
        beats_for_longer_than_a_lease(live, trial["id"])
        cluster.ask("scontrol", "release", job)
        (ended,) = live.ended(study)
        assert (ended["state"], ended["epoch"]) == ("completed", 1)


def test_a_cancelled_trial_leaves_the_queue(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, TUNEBOOK_SLURM_OPTIONS="--hold"):
        study = live.study(live.script(WAIT))
        until(lambda: cluster.jobs(["PENDING"]), "the job waits")
        (trial,) = live.trials(study)
        live.api.post(f"/trials/{trial['id']}:cancel")
        (ended,) = live.ended(study)
        assert (ended["state"], ended["reason"]) == ("stopped", "cancelled")
        until(lambda: not cluster.jobs(["PENDING", "RUNNING"]), "the job is gone")


def test_a_cancel_reaches_a_running_job(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster):
        study = live.study(live.script(WAIT))
        trial = running(live, study)
        live.api.post(f"/trials/{trial}:cancel")
        assert live.ended(study)[0]["state"] == "stopped"
        assert not live.processes_of(trial)


def test_a_refused_job_fails_at_once_with_slurm_s_words(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, TUNEBOOK_SLURM_OPTIONS="--partition=nowhere"):
        study = live.study(live.script(QUICK), attempts=1)
        (ended,) = live.ended(study)
        assert ended["state"] == "failed"
        assert ended["reason"].startswith("Slurm refused the job: ")
        assert "invalid partition" in ended["reason"].lower()


def test_a_job_cancelled_in_slurm_before_it_began_is_not_charged(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, TUNEBOOK_SLURM_OPTIONS="--hold"):
        study = live.study(live.script(QUICK))
        (job,) = until(lambda: cluster.jobs(["PENDING"]), "the job waits")
        (trial,) = live.trials(study)
        cluster.ask("scancel", job)
        ended = outcome(live, trial["id"])
        assert ended[:2] == ("preempted", False)
        assert ended[2].startswith("Slurm ended the job: CANCELLED")
        cancel(live, study, trial["id"])


def test_a_running_job_that_slurm_ends_saves_and_goes_on_in_another(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        trial = running(live, study)
        until(lambda: live.trial(trial)["last_step"] is not None, "the first point has arrived")
        cluster.ask("scancel", *cluster.jobs())
        (ended,) = live.ended(study)
    assert (ended["state"], ended["epoch"]) == ("completed", 2)
    assert outcome(live, trial) == ("preempted", False, "Slurm ended the job.")
    assert live.attempts(trial)[1]["resumed_from_step"] == 7


def test_a_requeued_job_does_not_train_again_under_its_old_epoch(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        trial = running(live, study)
        until(lambda: live.trial(trial)["last_step"] is not None, "the first point has arrived")
        cluster.ask("scontrol", "requeue", *cluster.jobs())
        (ended,) = live.ended(study)
        assert (ended["state"], ended["epoch"], len(live.attempts(trial))) == ("completed", 2, 2)
        assert outcome(live, trial)[:2] == ("preempted", False)
        until(lambda: not cluster.jobs(["PENDING", "RUNNING"]), "the old job is gone")


def test_a_killed_supervisor_is_charged_and_what_it_left_arrives(live: Live, cluster: Cluster) -> None:
    program = 'import signal\nprint(\'{"step": 3, "loss": 2}\', flush=True)\nsignal.pause()'
    with worker(live, cluster):
        study = live.study(live.script(program), attempts=1)
        trial = running(live, study)
        until(lambda: live.trial(trial)["last_step"] == 3, "the first point has arrived")
        parent = live.processes_of(trial)[0].parent()
        assert parent is not None
        parent.kill()
        (ended,) = live.ended(study)
        assert ended["state"] == "failed"
        assert outcome(live, trial)[2].startswith("The supervisor ended without a word; Slurm says FAILED")
        assert not live.processes_of(trial)


def test_a_drain_empties_queue_and_nodes(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, slots=6) as draining:
        study = live.study(live.script(WAIT), trials=6, parallel=6)
        until(lambda: len(cluster.jobs()) == 4 and len(cluster.jobs(["PENDING"])) == 2, "four run, two wait")
        until(lambda: sum(t["state"] == "running" for t in live.trials(study)) == 4, "four trials train")
        draining.signal(signal.SIGTERM)
        assert draining.popen.wait(60) == 0
        assert not cluster.jobs(["PENDING", "RUNNING"])
        found = live.trials(study)
        assert [trial["state"] for trial in found] == ["queued"] * 6
        assert [live.attempts(trial["id"])[0]["charged"] for trial in found] == [False] * 6
    live.clear()


def test_a_killed_worker_finds_its_jobs_again(live: Live, cluster: Cluster, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    program = f"""
import pathlib, time
while not pathlib.Path({str(go_on)!r}).exists():
    time.sleep(0.01)
print('{{"step": 1, "loss": 1}}')
"""
    with worker(live, cluster, name="again") as killed:
        study = live.study(live.script(program), trials=6, parallel=6)
        until(lambda: len(cluster.jobs(["PENDING", "RUNNING"])) == 4, "four jobs are submitted")
        until(lambda: sum(t["state"] == "running" for t in live.trials(study)) == 4, "four trials train")
        before = cluster.jobs()
        killed.signal(signal.SIGKILL)
        killed.popen.wait()
    with worker(live, cluster, name="again") as second:
        until(lambda: b"found again" in second.log.read_bytes(), "the jobs are found again")
        assert cluster.jobs() == before
        go_on.touch()
        ended = live.ended(study, 6)
        assert [(t["state"], t["epoch"]) for t in ended] == [("completed", 1)] * 6


def test_a_job_that_starts_after_its_lease_ran_out_launches_nothing(
    live: Live, cluster: Cluster, tmp_path: Path
) -> None:
    program = f"import pathlib, tunebook\npathlib.Path({str(tmp_path)!r}, 'trained').touch()"
    with worker(live, cluster, name="late", TUNEBOOK_SLURM_OPTIONS="--hold") as killed:
        study = live.study(live.script(program))
        (job,) = until(lambda: cluster.jobs(["PENDING"]), "the job waits")
        (trial,) = live.trials(study)
        killed.signal(signal.SIGKILL)
        killed.popen.wait()
        assert outcome(live, trial["id"])[0] == "lost"
        cluster.ask("scontrol", "release", job)
        until(lambda: not cluster.jobs(["PENDING", "RUNNING", "COMPLETING"]), "the job has ended")
        logs = [*(live.data / "workers" / "late" / "jobs").glob("*/supervisor.log")]
        assert "the trial is not ours any more" in logs[0].read_text()
        assert not (tmp_path / "trained").exists()
        cancel(live, study, trial["id"])


def test_nothing_is_lost_while_the_controller_is_away(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, slots=2, TUNEBOOK_SLURM_OPTIONS="--hold") as watching:
        study = live.study(live.script(QUICK), trials=2, parallel=2)
        jobs = until(
            lambda: [*cluster.jobs(["PENDING"])] if len(cluster.jobs(["PENDING"])) == 2 else None, "two"
        )
        cluster.stop_controller()
        until(lambda: b"the engine does not answer" in watching.log.read_bytes(), "it is said", 120)
        beats_for_longer_than_a_lease(live, live.trials(study)[0]["id"])
        cluster.start_controller()
        until(lambda: cluster.jobs(["PENDING"]) == jobs, "the controller is back")
        cluster.ask("scontrol", "release", ",".join(jobs))
        ended = live.ended(study, 2, within_seconds=120)
        assert [(t["state"], t["epoch"]) for t in ended] == [("completed", 1)] * 2
        assert watching.log.read_bytes().count(b"the engine does not answer") == 1


def test_a_job_that_slurm_forgot_is_charged_at_once(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, TUNEBOOK_SLURM_OPTIONS="--hold") as watching:
        study = live.study(live.script(QUICK), attempts=1)
        until(lambda: cluster.jobs(["PENDING"]), "the job waits")
        cluster.forget_all()
        (ended,) = live.ended(study, within_seconds=120)
        assert watching.popen.poll() is None
        assert ended["state"] == "failed"
        assert ended["reason"].startswith("vanished: Slurm does not know the job any more")


def test_a_running_job_that_slurm_forgot_is_charged_once_it_has_ended(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        trial = running(live, study)
        until(lambda: live.trial(trial)["last_step"] is not None, "the first point has arrived")
        cluster.forget_all()
        (ended,) = live.ended(study, within_seconds=120)
        assert (ended["state"], ended["epoch"]) == ("completed", 2)
        first = outcome(live, trial)
        assert first[1]
        assert first[2].endswith("Slurm does not know the job any more.")


def test_a_second_start_waits_for_the_first_and_trains_nothing(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    assert not folder.is_held()
    program = f"""
import sys, pathlib
from tunebook_worker.on_node import begin
from tunebook_worker.orders import JobFolder
print(begin(JobFolder(pathlib.Path({str(tmp_path)!r})), patience_seconds=float(sys.argv[1])), flush=True)
sys.stdin.read()
"""
    first = subprocess.Popen(
        [sys.executable, "-c", program, "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"True\n"
        assert folder.is_held()
        second = [sys.executable, "-c", program, "0.1"]
        assert subprocess.run(second, capture_output=True, check=True, input=b"").stdout == b"False\n"
        first.kill()
    assert not folder.is_held()
    third = [sys.executable, "-c", program, "60"]
    assert subprocess.run(third, capture_output=True, check=True, input=b"").stdout == b"False\n"


def test_needs_become_options(live: Live, cluster: Cluster) -> None:
    program = 'import os\nprint(os.environ["CUDA_VISIBLE_DEVICES"])\nprint(\'{"step": 1, "loss": 1}\')'
    with worker(live, cluster, TUNEBOOK_ENGINE_GPUS="2", TUNEBOOK_SLURM_LABELS="kind=fast:--constraint=fast"):
        study = live.study(live.script(program))
        (ended,) = live.ended(study)
        assert ended["state"] == "completed"
        assert live.log(ended["id"]).splitlines()[0] in ("0", "1")

"""Trials as jobs of a real Ray: each way in which they end, told apart."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ray_cluster
from tests.live import Live, Process, until
from tests.ray_cluster import ALIVE, Cluster
from tests.worker.engine_trials import QUICK, SAVES_WHEN_TOLD, WAIT, beats_for_longer_than_a_lease, outcome
from tunebook_worker import ray_options
from tunebook_worker.launchers.engine import EngineDown, EngineJob, EngineState, Refused
from tunebook_worker.launchers.ray import Ray, seen

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(ray_cluster.why_not()), reason=ray_cluster.why_not() or "Ray is here"),
]
SLOW_SECONDS = 240.0
"""Each job of Ray begins with an interpreter that loads all of Ray."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    started = Cluster()
    try:
        started.start()
        yield started
    finally:
        started.stop()


@contextlib.contextmanager
def worker(
    live: Live, cluster: Cluster, *, name: str = "", slots: int = 4, **settings: str
) -> Iterator[Process]:
    engine = {
        "TUNEBOOK_LAUNCHER": "ray",
        "TUNEBOOK_RAY_ADDRESS": cluster.address,
        "TUNEBOOK_ENGINE_POLL_SECONDS": "0.5",
        "TUNEBOOK_BEAT_SECONDS": "1",
    }
    with live.worker(name, slots=slots, **{**engine, **settings}) as started:
        yield started


def ended(live: Live, study: int, trials: int = 1) -> list[tuple[str, int]]:
    """State and epoch of each."""
    found = live.ended(study, trials, within_seconds=SLOW_SECONDS)
    return [(trial["state"], trial["epoch"]) for trial in found]


def training(live: Live, study: int, trials: int = 1) -> list[int]:
    """Their ids, once so many train."""

    def found() -> list[int] | None:
        ids = [int(t["id"]) for t in live.trials(study) if t["state"] == "running"]
        at_work = [trial for trial in ids if live.processes_of(trial)]
        return at_work if len(at_work) >= trials else None

    return until(found, f"{trials} trials of study {study} train", SLOW_SECONDS)


def reported(live: Live, trial: int) -> None:
    until(lambda: live.trial(trial)["last_step"] is not None, "the first point has arrived", SLOW_SECONDS)


def waiting(cluster: Cluster, jobs: int = 1) -> list[str]:
    until(lambda: len(cluster.jobs(["PENDING"])) >= jobs, f"{jobs} jobs wait", SLOW_SECONDS)
    return cluster.jobs(["PENDING"])


def empty(cluster: Cluster) -> None:
    until(lambda: not cluster.jobs(ALIVE), "no job is left", SLOW_SECONDS)


def cancel(live: Live, study: int) -> None:
    (trial,) = live.trials(study)
    live.api.post(f"/trials/{trial['id']}:cancel")
    ended(live, study)


def job(folder: Path, name: str, **needs: object) -> EngineJob:
    asked: dict[str, object] = {"gpus": 0, "cpus": 1, "labels": {}, **needs}
    return EngineJob(name=name, folder=folder, log=folder / "log", notice_seconds=4.0, **asked)  # type: ignore[arg-type]


@contextlib.contextmanager
def speaking_to(address: str) -> Iterator[Ray]:
    with contextlib.closing(
        Ray(ray_options.read({"TUNEBOOK_RAY_ADDRESS": address}), grace_seconds=1.0)
    ) as engine:
        yield engine


def test_trials_run_as_jobs_and_leave_nothing(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, name="ray-clean"):
        study = live.study(live.script(QUICK), trials=3, parallel=3)
        assert ended(live, study, 3) == [("completed", 1)] * 3
        assert live.points(live.trials(study)[0]["id"]) == [(1, 1.0)]
        jobs = live.data / "workers" / "ray-clean" / "jobs"
        until(lambda: not list(jobs.glob("*-*")), "the folders are removed")
        empty(cluster)


def test_no_token_is_seen_by_others(live: Live, cluster: Cluster) -> None:
    runtime_env = '{"env_vars": {"SHOWN": "to all"}}'
    with worker(live, cluster, name="ray-private", TUNEBOOK_RAY_RUNTIME_ENV=runtime_env):
        study = live.study(live.script(WAIT))
        (trial,) = training(live, study)
        (name,) = cluster.jobs()
        supervisor = live.processes_of(trial)[0].parent()
        assert supervisor is not None
        environment = supervisor.environ()
        assert environment["SHOWN"] == "to all"
        assert not [variable for variable in environment if variable.startswith("TUNEBOOK_")]
        seen = f"{cluster.job(name)} {supervisor.cmdline()} {environment} {cluster.log(name)}"
        assert "tunebook_worker.on_node" in seen
        assert "tbk_" not in seen
        cancel(live, study)
        assert not live.processes_of(trial)


def test_waiting_jobs_keep_their_leases(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, slots=3):
        with cluster.held():
            study = live.study(live.script(QUICK), trials=3, parallel=3)
            waiting(cluster, 3)
            beats_for_longer_than_a_lease(live, live.trials(study)[-1]["id"])
        assert ended(live, study, 3) == [("completed", 1)] * 3


def test_a_cancelled_trial_does_not_wait_for_its_turn(live: Live, cluster: Cluster, tmp_path: Path) -> None:
    program = f"import pathlib; pathlib.Path({str(tmp_path)!r}, 'trained').touch()"
    with worker(live, cluster):
        with cluster.held():
            study = live.study(live.script(program))
            (name,) = waiting(cluster)
            cancel(live, study)
            assert live.trials(study)[0]["reason"] == "cancelled"
            assert cluster.job(name)["status"] == "PENDING"
        empty(cluster)
        assert not (tmp_path / "trained").exists()


def test_a_job_that_ray_cannot_start_fails_with_ray_s_words(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, TUNEBOOK_RAY_RUNTIME_ENV='{"pip": ["a"], "conda": "b"}'):
        study = live.study(live.script(QUICK), attempts=1)
        assert ended(live, study) == [("failed", 1)]
        reason = live.trials(study)[0]["reason"]
        assert reason.startswith("The supervisor never began; Ray says FAILED (JOB_SUPERVISOR_ACTOR_START_")


def test_what_ray_refuses_is_no_cluster_that_is_away(cluster: Cluster, tmp_path: Path) -> None:
    with speaking_to(cluster.address) as engine:
        with pytest.raises(Refused, match="entrypoint_num_gpus must be a number"):
            engine.submit(job(tmp_path, "tunebook-wrong", gpus="many"))
        for _ in range(2):  # the second brings what Ray has taken already
            engine.submit(job(tmp_path, "tunebook-twice"))
        until(
            lambda: cluster.job("tunebook-twice")["status"] == "SUCCEEDED", "there was no order", SLOW_SECONDS
        )
        assert b"nothing to do" in engine.logs(job(tmp_path, "tunebook-twice"), 2000)
        assert engine.logs(job(tmp_path, "tunebook-nowhere"), 2000) == b""
        engine.withdraw(["tunebook-nowhere"])
    with speaking_to(f"{cluster.address}/elsewhere") as elsewhere, pytest.raises(EngineDown):
        elsewhere.submit(job(tmp_path, "tunebook-lost"))


@pytest.mark.parametrize(
    ("status", "kind", "message", "means"),
    [
        ("PENDING", None, "Job has not started yet.", EngineState.WAITING),
        ("RUNNING", None, "Job is currently running.", EngineState.RUNNING),
        ("STOPPED", None, "Job was intentionally stopped.", EngineState.TAKEN),
        ("SUCCEEDED", None, "Job finished successfully.", EngineState.ENDED),
        ("FAILED", "JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "failed to start within 900 s", EngineState.TAKEN),
        ("FAILED", "JOB_SUPERVISOR_ACTOR_DIED", "its node has died", EngineState.TAKEN),
        (
            "FAILED",
            "JOB_SUPERVISOR_ACTOR_START_FAILURE",
            "Unexpected error occurred: failed to get job supervisor.",
            EngineState.TAKEN,
        ),
        ("FAILED", "JOB_SUPERVISOR_ACTOR_START_FAILURE", "a wrong runtime_env", EngineState.ENDED),
        ("FAILED", "JOB_ENTRYPOINT_COMMAND_ERROR", "failed with exit code -9", EngineState.ENDED),
        ("FAILED", None, None, EngineState.ENDED),
        ("SUSPENDED", None, None, EngineState.RUNNING),
    ],
)
def test_what_ray_says_has_one_meaning(
    status: str, kind: str | None, message: str | None, means: EngineState
) -> None:
    row = {
        "submission_id": "a",
        "status": status,
        "error_type": kind,
        "message": message,
        "driver_exit_code": -9,
    }
    assert seen(row).state is means
    assert seen(row).detail.startswith(status)
    if status == "PENDING":
        assert seen(row, {"a"}).state is EngineState.TAKEN


def test_a_running_job_that_ray_is_told_to_stop_saves_and_goes_on_in_another(
    live: Live, cluster: Cluster
) -> None:
    with worker(live, cluster):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        (trial,) = training(live, study)
        reported(live, trial)
        cluster.end(*cluster.jobs())
        assert ended(live, study) == [("completed", 2)]
    assert outcome(live, trial, SLOW_SECONDS) == ("preempted", False, "Ray ended the job.")
    assert live.attempts(trial)[1]["resumed_from_step"] == 7


def test_a_stop_gives_the_training_its_whole_grace(live: Live, cluster: Cluster) -> None:
    """Ray alone would kill it after three seconds."""
    program = """
import signal, sys, time
def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it comes from Ray, and from the supervisor
    time.sleep(4.5)
    print('{"step": 9, "loss": 9}', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('{"step": 1, "loss": 1}', flush=True)
while True:
    signal.pause()
"""
    with worker(live, cluster, TUNEBOOK_GRACE_SECONDS="6"):
        study = live.study(live.script(program))
        (trial,) = training(live, study)
        reported(live, trial)
        live.api.patch(
            f"/studies/{study}", {"state": "paused"}
        )  # a second attempt would begin with no points
        cluster.end(*cluster.jobs())
        assert outcome(live, trial, SLOW_SECONDS)[:2] == ("preempted", False)
        assert (9, 9.0) in live.points(trial)
        cancel(live, study)


def test_a_job_whose_actor_died_is_not_charged_and_nothing_of_it_is_left(
    live: Live, cluster: Cluster
) -> None:
    """As with a node that failed: Ray's own process beside the supervisor is gone."""
    with worker(live, cluster):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        (trial,) = training(live, study)
        reported(live, trial)
        actor = live.processes_of(trial)[0].parents()[1]
        assert "JobSupervisor" in actor.cmdline()[0]
        actor.kill()
        assert ended(live, study) == [("completed", 2)]
        first = outcome(live, trial, SLOW_SECONDS)
        assert first[:2] == ("preempted", False)
        assert first[2].startswith("Ray ended the job: FAILED (JOB_SUPERVISOR_ACTOR_DIED")
        assert not live.processes_of(trial)


def test_a_killed_supervisor_is_charged_and_what_it_left_arrives(live: Live, cluster: Cluster) -> None:
    program = """
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
print('{"step": 3, "loss": 2}', flush=True)
signal.pause()
"""
    with worker(live, cluster):
        study = live.study(live.script(program), attempts=1)
        (trial,) = training(live, study)
        reported(live, trial)
        supervisor = live.processes_of(trial)[0].parent()
        assert supervisor is not None
        supervisor.kill()
        assert ended(live, study) == [("failed", 1)]
        words = "The supervisor ended without a word; Ray says FAILED (JOB_ENTRYPOINT_COMMAND_ERROR"
        assert outcome(live, trial, SLOW_SECONDS)[2].startswith(words)
        assert live.points(trial) == [(3, 2.0)]
        until(lambda: not live.processes_of(trial), "no process is left")


def test_a_second_start_of_the_same_job_trains_nothing(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        (trial,) = training(live, study)
        reported(live, trial)
        (name,) = cluster.jobs()
        cluster.run_again(name)
        assert ended(live, study) == [("completed", 2)]
        assert len(live.attempts(trial)) == 2
        assert outcome(live, trial, SLOW_SECONDS) == ("preempted", False, "Ray started the job again.")
        empty(cluster)


@pytest.mark.soak  # what it tests is no launcher's own, and Slurm's tests have it, too
def test_a_drain_empties_queue_and_nodes(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, slots=6) as draining:
        study = live.study(live.script(WAIT), trials=6, parallel=6)
        training(live, study, 4)
        waiting(cluster, 2)
        draining.signal(signal.SIGTERM)
        assert draining.popen.wait(SLOW_SECONDS) == 0
        found = live.trials(study)
        assert [trial["state"] for trial in found] == ["queued"] * 6
        assert [live.attempts(trial["id"])[0]["charged"] for trial in found] == [False] * 6
    empty(cluster)
    live.clear()


@pytest.mark.soak  # what it tests is no launcher's own, and Slurm's tests have it, too
def test_a_killed_worker_finds_its_jobs_again(live: Live, cluster: Cluster, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    program = f"""
import pathlib, time
while not pathlib.Path({str(go_on)!r}).exists():
    time.sleep(0.01)
print('{{"step": 1, "loss": 1}}')
"""
    with worker(live, cluster, name="ray-again", slots=6) as killed:
        study = live.study(live.script(program), trials=6, parallel=6)
        training(live, study, 4)
        waiting(cluster, 2)
        before = cluster.jobs(ALIVE)
        killed.signal(signal.SIGKILL)
        killed.popen.wait()
    with worker(live, cluster, name="ray-again", slots=6) as second:
        until(lambda: b"found again" in second.log.read_bytes(), "the jobs are found again")
        assert cluster.jobs(ALIVE) == before
        go_on.touch()
        assert ended(live, study, 6) == [("completed", 1)] * 6


def test_a_job_that_starts_after_its_lease_ran_out_launches_nothing(
    live: Live, cluster: Cluster, tmp_path: Path
) -> None:
    program = f"import pathlib\npathlib.Path({str(tmp_path)!r}, 'trained').touch()"
    with worker(live, cluster, name="ray-late") as killed, cluster.held():
        study = live.study(live.script(program))
        (name,) = waiting(cluster)
        (trial,) = live.trials(study)
        killed.signal(signal.SIGKILL)
        killed.popen.wait()
        assert outcome(live, trial["id"], SLOW_SECONDS)[0] == "lost"
    empty(cluster)
    assert "the trial is not ours any more" in cluster.log(name)
    assert not (tmp_path / "trained").exists()
    cancel(live, study)


def test_nothing_is_lost_while_ray_does_not_answer(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, slots=2) as watching:
        with cluster.held():
            study = live.study(live.script(QUICK), trials=2, parallel=2)
            jobs = waiting(cluster, 2)
            with cluster.without_dashboard():
                until(lambda: b"the engine does not answer" in watching.log.read_bytes(), "it is said", 120)
                beats_for_longer_than_a_lease(live, live.trials(study)[0]["id"])
            assert cluster.jobs(["PENDING"]) == jobs
        assert ended(live, study, 2) == [("completed", 1)] * 2
        assert watching.log.read_bytes().count(b"the engine does not answer") == 1


def test_needs_and_labels_become_resources(live: Live, cluster: Cluster) -> None:
    program = 'import os\nprint(os.environ["CUDA_VISIBLE_DEVICES"])\nprint(\'{"step": 1, "loss": 1}\')'
    labels = "kind=fast:fast=0.25"
    with worker(live, cluster, TUNEBOOK_ENGINE_GPUS="2", TUNEBOOK_RAY_LABELS=labels), cluster.held():
        needs = {"gpus": 1, "cpus": 2, "labels": {"kind": "fast"}}
        study = live.study(live.script(program), resources=needs)
        (name,) = waiting(cluster)
        assert cluster.needs(name) == {"CPU": 2, "GPU": 1, "fast": 0.25}
        command = cluster.job(name)["entrypoint"]
    assert command.startswith(f"exec {sys.executable} -P -m tunebook_worker.on_node /")
    with worker(live, cluster, TUNEBOOK_ENGINE_GPUS="2", TUNEBOOK_RAY_LABELS=labels):
        assert ended(live, study)[0][0] == "completed"
        assert live.log(live.trials(study)[0]["id"]).splitlines()[0] in ("0", "1")


def test_jobs_that_ray_forgot_are_charged(live: Live, cluster: Cluster) -> None:
    """A head that starts again without its state: everything that ran in it is gone as well."""
    with worker(live, cluster, slots=1) as watching, worker(live, cluster, slots=1):
        runs = live.study(live.script(SAVES_WHEN_TOLD))
        (trial,) = training(live, runs)
        reported(live, trial)
        with cluster.held(but=1):
            waits = live.study(live.script(QUICK), attempts=1)
            waiting(cluster)
            cluster.forget_all()
        assert ended(live, waits) == [("failed", 1)]
        reason = live.trials(waits)[0]["reason"]
        assert reason.startswith("vanished: Ray does not know the job any more")
        assert ended(live, runs) == [("completed", 2)]
        _, charged, reason = outcome(live, trial, SLOW_SECONDS)
        assert charged
        # A head that starts slowly is away for longer than a lease.
        assert reason.endswith("Ray does not know the job any more.") or reason == "lost: its lease ran out"
        assert watching.popen.poll() is None

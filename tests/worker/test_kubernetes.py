"""Trials as Jobs of Kubernetes, against a recorded API, not a cluster (tests/kubernetes.py): server, worker,
supervisors and trainings are real processes, the worker's client is the real one and speaks HTTP."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import TOKEN, Cluster
from tests.live import Live, Process, until
from tests.worker.engine_trials import (
    QUICK,
    SAVES_WHEN_TOLD,
    WAIT,
    beats_for_longer_than_a_lease,
    cancel,
    outcome,
    running,
)

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("kubernetes"))
    cluster.start()
    yield cluster
    cluster.reset()
    cluster.stop()


@pytest.fixture
def cluster(started: Cluster) -> Cluster:
    started.reset()
    return started


@contextlib.contextmanager
def worker(
    live: Live, cluster: Cluster, *, name: str = "", slots: int = 4, **settings: str
) -> Iterator[Process]:
    engine = {
        "TUNEBOOK_LAUNCHER": "kubernetes",
        "TUNEBOOK_ENGINE_POLL_SECONDS": "0.5",
        "TUNEBOOK_BEAT_SECONDS": "1",
        "TUNEBOOK_KUBERNETES_VOLUME": "shared",
        "TUNEBOOK_KUBERNETES_PYTHON": sys.executable,
    }
    with live.worker(name, slots=slots, **{**engine, **cluster.environment, **settings}) as process:
        yield process


def reported(live: Live, study: int) -> int:
    trial = running(live, study)
    until(lambda: live.trial(trial)["last_step"] is not None, "the first point has arrived")
    return trial


def only_job(cluster: Cluster) -> str:
    (name,) = until(lambda: list(cluster.jobs), "there is a Job")
    return name


def test_trials_run_as_jobs_and_leave_nothing(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, name="clean"):
        study = live.study(live.script(QUICK), trials=3, parallel=3)
        ended = live.ended(study, 3)
        assert [trial["state"] for trial in ended] == ["completed"] * 3
        assert live.points(ended[0]["id"]) == [(1, 1.0)]
        jobs = live.data / "workers" / "clean" / "jobs"
        until(lambda: not list(jobs.glob("*-*")), "the folders are removed")
    assert len(cluster.created) == 3
    assert len({job["metadata"]["name"] for job in cluster.created}) == 3


def test_no_credential_reaches_the_api_or_the_pod(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, name="private"):
        study = live.study(live.script(WAIT))
        trial = running(live, study)
        (order,) = (live.data / "workers" / "private" / "jobs").glob("*/order.json")
        assert order.stat().st_mode & 0o077 == 0
        assert "tbk_" not in json.dumps(cluster.created)
        spec = cluster.created[0]["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsUser"] == os.geteuid()
        supervisor = live.processes_of(trial)[0].parent()
        assert supervisor is not None
        assert "tbk_" not in f"{supervisor.environ()} {supervisor.cmdline()}"
        assert TOKEN not in f"{supervisor.environ()}"
        cancel(live, study, trial)


def test_a_waiting_job_keeps_its_lease(live: Live, cluster: Cluster) -> None:
    cluster.places = 0
    with worker(live, cluster):
        study = live.study(live.script(QUICK))
        only_job(cluster)
        (trial,) = live.trials(study)
        beats_for_longer_than_a_lease(live, trial["id"])
        cluster.free()
        (ended,) = live.ended(study)
        assert (ended["state"], ended["epoch"]) == ("completed", 1)


def test_a_cancelled_trial_leaves_the_queue(live: Live, cluster: Cluster) -> None:
    cluster.places = 0
    with worker(live, cluster):
        study = live.study(live.script(WAIT))
        only_job(cluster)
        (trial,) = live.trials(study)
        live.api.post(f"/trials/{trial['id']}:cancel")
        (ended,) = live.ended(study)
        assert (ended["state"], ended["reason"]) == ("stopped", "cancelled")
        until(lambda: not cluster.jobs and not cluster.pods, "Job and pod are gone")


def test_a_cancel_reaches_a_running_job(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster):
        study = live.study(live.script(WAIT))
        trial = running(live, study)
        live.api.post(f"/trials/{trial}:cancel")
        assert live.ended(study)[0]["state"] == "stopped"
        assert not live.processes_of(trial)


@pytest.mark.parametrize(
    ("namespace", "refuses", "said"),
    [
        ("nowhere", None, 'namespaces "nowhere" not found'),
        ("", (422, "Invalid", 'Job.batch "x" is invalid: spec'), 'Job.batch "x" is invalid: spec'),
        ("", (403, "Forbidden", "jobs.batch is forbidden: no rights"), "jobs.batch is forbidden: no rights"),
    ],
)
def test_a_refused_job_fails_at_once_with_the_api_s_words(
    live: Live, cluster: Cluster, namespace: str, refuses: tuple[int, str, str] | None, said: str
) -> None:
    cluster.refuses = refuses
    with worker(live, cluster, TUNEBOOK_KUBERNETES_NAMESPACE=namespace):
        study = live.study(live.script(QUICK), attempts=1)
        (ended,) = live.ended(study)
        assert ended["state"] == "failed"
        assert ended["reason"] == f"Kubernetes refused the job: {said}"


def test_a_quota_is_waited_for(live: Live, cluster: Cluster) -> None:
    cluster.refuses = (403, "Forbidden", 'jobs.batch "x" is forbidden: exceeded quota: few, used: count=1')
    with worker(live, cluster) as waiting:
        study = live.study(live.script(QUICK), attempts=1)
        until(lambda: b"exceeded quota" in waiting.log.read_bytes(), "it is said")
        (trial,) = live.trials(study)
        beats_for_longer_than_a_lease(live, trial["id"])
        cluster.refuses = None
        (ended,) = live.ended(study)
        assert (ended["state"], ended["epoch"]) == ("completed", 1)


def test_a_job_whose_creation_was_not_heard_of_is_not_created_twice(live: Live, cluster: Cluster) -> None:
    cluster.deaf = True
    with worker(live, cluster):
        study = live.study(live.script(QUICK), attempts=1)
        only_job(cluster)
        cluster.deaf = False
        (ended,) = live.ended(study)
        assert (ended["state"], ended["epoch"]) == ("completed", 1)
        assert len(cluster.created) == 1


def test_a_preempted_pod_saves_and_its_trial_goes_on_in_another(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        trial = reported(live, study)
        cluster.preempt(only_job(cluster))
        (ended,) = live.ended(study)
    assert (ended["state"], ended["epoch"]) == ("completed", 2)
    assert outcome(live, trial) == ("preempted", False, "Kubernetes ended the job.")
    assert live.attempts(trial)[1]["resumed_from_step"] == 7


def test_a_preemption_that_kills_the_supervisor_is_not_charged(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        trial = reported(live, study)
        job = only_job(cluster)
        with cluster.lock:
            cluster.kill(job)
            cluster.preempt(job)
        (ended,) = live.ended(study)
    assert (ended["state"], ended["epoch"]) == ("completed", 2)
    ended_as, charged, reason = outcome(live, trial)
    assert (ended_as, charged) == ("preempted", False)
    assert reason.startswith("Kubernetes ended the job: P"), reason


def test_a_pod_deleted_before_it_began_is_not_charged(live: Live, cluster: Cluster) -> None:
    cluster.places = 0
    with worker(live, cluster):
        study = live.study(live.script(QUICK))
        job = only_job(cluster)
        (trial,) = live.trials(study)
        cluster.delete_pod(job)
        ended = outcome(live, trial["id"])
        assert ended == ("preempted", False, "Kubernetes ended the job: its pod was deleted")
        cancel(live, study, trial["id"])


def test_a_deleted_job_that_never_began_has_vanished(live: Live, cluster: Cluster) -> None:
    cluster.places = 0
    with worker(live, cluster) as watching:
        study = live.study(live.script(QUICK), attempts=1)
        cluster.delete_job(only_job(cluster))
        (ended,) = live.ended(study)
        assert watching.popen.poll() is None
        assert ended["state"] == "failed"
        assert ended["reason"].startswith("vanished: Kubernetes does not know the job any more")


def test_a_deleted_job_that_runs_saves_and_goes_on(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        trial = reported(live, study)
        cluster.delete_job(only_job(cluster))
        (ended,) = live.ended(study)
        assert (ended["state"], ended["epoch"]) == ("completed", 2)
        assert outcome(live, trial) == ("preempted", False, "Kubernetes ended the job.")


def test_a_killed_supervisor_is_charged_and_what_it_left_arrives(live: Live, cluster: Cluster) -> None:
    program = 'import signal\nprint(\'{"step": 3, "loss": 2}\', flush=True)\nsignal.pause()'
    with worker(live, cluster):
        study = live.study(live.script(program), attempts=1)
        trial = reported(live, study)
        cluster.kill(only_job(cluster))
        (ended,) = live.ended(study)
        assert ended["state"] == "failed"
        words = "The supervisor ended without a word; Kubernetes says exit code 137."
        assert outcome(live, trial)[2] == words
        until(lambda: not live.processes_of(trial), "its training is gone")


def test_a_supervisor_that_cannot_start_says_why(live: Live, cluster: Cluster, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named tunebook_worker' >&2\nexit 1\n")
    python.chmod(0o755)
    with worker(live, cluster, TUNEBOOK_KUBERNETES_PYTHON=str(python)):
        study = live.study(live.script(QUICK), attempts=1)
        (ended,) = live.ended(study)
        words = "The supervisor never began; Kubernetes says exit code 1: No module named tunebook_worker"
        assert ended["reason"] == words


def test_an_image_that_cannot_be_pulled_ends_the_attempt_in_the_end(live: Live, cluster: Cluster) -> None:
    cluster.waiting = {
        "reason": "ImagePullBackOff",
        "message": 'Back-off pulling image "example.org/train:1"',
    }
    with worker(live, cluster, TUNEBOOK_KUBERNETES_START_SECONDS="2") as patient:
        study = live.study(live.script(QUICK), attempts=1)
        until(lambda: b"a pod cannot start" in patient.log.read_bytes(), "it is said at once")
        (ended,) = live.ended(study)
        assert ended["state"] == "failed"
        said = 'ImagePullBackOff: Back-off pulling image "example.org/train:1".'
        assert ended["reason"] == f"The supervisor never began; Kubernetes says {said}"
        until(lambda: not cluster.jobs and not cluster.pods, "it tries no longer")


def test_an_image_that_comes_late_costs_nothing(live: Live, cluster: Cluster) -> None:
    cluster.waiting = {"reason": "ErrImagePull", "message": "the registry does not answer"}
    with worker(live, cluster) as patient:
        study = live.study(live.script(QUICK), attempts=1)
        until(lambda: b"a pod cannot start" in patient.log.read_bytes(), "it is said at once")
        cluster.repair()
        (ended,) = live.ended(study)
        assert (ended["state"], ended["epoch"]) == ("completed", 1)


def test_a_drain_empties_queue_and_nodes(live: Live, cluster: Cluster) -> None:
    cluster.places = 2
    with worker(live, cluster) as draining:
        study = live.study(live.script(WAIT), trials=4, parallel=4)
        until(lambda: cluster.phases() == ["Pending", "Pending", "Running", "Running"], "two run, two wait")
        until(lambda: sum(t["state"] == "running" for t in live.trials(study)) == 2, "two trials train")
        draining.signal(signal.SIGTERM)
        assert draining.popen.wait(60) == 0
        until(lambda: not cluster.jobs and not cluster.pods, "nothing is left")
        found = live.trials(study)
        assert [trial["state"] for trial in found] == ["queued"] * 4
        assert [live.attempts(trial["id"])[0]["charged"] for trial in found] == [False] * 4
        assert {live.attempts(t["id"])[0]["reason"] for t in found} == {"The worker is shutting down."}
    live.clear()


def test_a_killed_worker_finds_its_jobs_again(live: Live, cluster: Cluster, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    program = f"""
import pathlib, time
while not pathlib.Path({str(go_on)!r}).exists():
    time.sleep(0.01)
print('{{"step": 1, "loss": 1}}')
"""
    with worker(live, cluster, name="again", slots=2) as killed:
        study = live.study(live.script(program), trials=2, parallel=2)
        until(lambda: sum(t["state"] == "running" for t in live.trials(study)) == 2, "two trials train")
        before = sorted(cluster.jobs)
        killed.signal(signal.SIGKILL)
        killed.popen.wait()
    with worker(live, cluster, name="again", slots=2) as second:
        until(lambda: b"found again" in second.log.read_bytes(), "the jobs are found again")
        assert sorted(cluster.jobs) == before
        go_on.touch()
        ended = live.ended(study, 2)
        assert [(t["state"], t["epoch"]) for t in ended] == [("completed", 1)] * 2
        assert len(cluster.created) == 2


def test_nothing_is_lost_while_the_api_is_away(live: Live, cluster: Cluster) -> None:
    cluster.places = 1
    with worker(live, cluster, slots=2) as watching:
        study = live.study(live.script(SAVES_WHEN_TOLD), trials=2, parallel=2)
        until(lambda: cluster.phases() == ["Pending", "Running"], "one runs, one waits")
        until(lambda: any(t["state"] == "running" for t in live.trials(study)), "one trains")
        cluster.stop()
        until(lambda: b"the engine does not answer" in watching.log.read_bytes(), "it is said")
        waits = next(t for t in live.trials(study) if t["state"] != "running")
        beats_for_longer_than_a_lease(live, waits["id"])
        cluster.start()
        until(lambda: b"the engine answers again" in watching.log.read_bytes(), "it is back")
        assert [trial["epoch"] for trial in live.trials(study)] == [1, 1]
        for trial in live.trials(study):
            live.api.post(f"/trials/{trial['id']}:cancel")
        live.ended(study, 2)
        assert watching.log.read_bytes().count(b"the engine does not answer") == 1


def test_a_lost_node_s_trial_goes_on_elsewhere(live: Live, cluster: Cluster) -> None:
    with worker(live, cluster, TUNEBOOK_KUBERNETES_START_SECONDS="1"):
        study = live.study(live.script(SAVES_WHEN_TOLD))
        trial = reported(live, study)
        cluster.lose_node(only_job(cluster))
        (ended,) = live.ended(study)
        assert (ended["state"], ended["epoch"]) == ("completed", 2)
        assert outcome(live, trial)[0] in ("preempted", "lost")


def test_a_worker_whose_configuration_is_broken_does_not_start(
    live: Live, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\ncurrent-context: elsewhere\n")
    settings = {
        **cluster.environment,
        "TUNEBOOK_URL": live.url,
        "TUNEBOOK_WORKER_TOKEN": "tbk_w",
        "TUNEBOOK_KUBERNETES_VOLUME": "shared",
        "KUBECONFIG": str(tmp_path / "config"),
    }
    refused = live.start("broken", "worker", "--launcher", "kubernetes", "--name", "broken", **settings)
    live.processes.remove(refused)
    assert refused.popen.wait(60) == 2
    assert b"tunebook worker: Kubernetes' configuration: " in refused.log.read_bytes()

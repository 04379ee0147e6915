"""The launcher for Kubernetes alone, against a recorded API (tests/kubernetes.py): what it asks for, and how
it reads what it is told."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.kubernetes import NAMESPACE, VERSIONS, Cluster
from tests.live import until
from tunebook_worker.engine_options import WrongEngineOption, read
from tunebook_worker.kubernetes_options import KubernetesOptions
from tunebook_worker.launchers.engine import EngineDown, EngineJob, EngineState, Refused
from tunebook_worker.launchers.kubernetes import Kubernetes
from tunebook_worker.launchers.kubernetes_pod import manifest, owner_label
from tunebook_worker.launchers.kubernetes_state import looks


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path / "cluster")
    started.start()
    yield started
    started.stop()


def options(environment: dict[str, str], tmp_path: Path) -> KubernetesOptions:
    (tmp_path / "config").touch()
    given = {
        "TUNEBOOK_LAUNCHER": "kubernetes",
        "KUBECONFIG": str(tmp_path / "config"),
        "TUNEBOOK_KUBERNETES_IMAGE": "example.org/train:1",
        "TUNEBOOK_KUBERNETES_VOLUME": "shared",
    }
    found = read({**given, **environment})
    assert found is not None
    assert found.kubernetes is not None
    return found.kubernetes


def job(tmp_path: Path, **changed: Any) -> EngineJob:
    fields: dict[str, Any] = {
        "name": "tunebook-7-1-0a0b0c0d",
        "folder": tmp_path / "7-1; $(rm)",
        "log": tmp_path / "log",
        "gpus": 2,
        "cpus": 8,
        "labels": {"gpu": "h200", "zone": "unknown"},
        "notice_seconds": 40.0,
    }
    return EngineJob(**{**fields, **changed})


def test_what_a_trial_asks_for_becomes_a_job(tmp_path: Path) -> None:
    template = tmp_path / "pod.yaml"
    template.write_text(
        """
metadata: {labels: {team: vision}}
spec:
  tolerations: [{key: gpu, operator: Exists}]
  securityContext: {fsGroup: 7}
  nodeSelector: {pool: train}
  volumes: [{name: code, persistentVolumeClaim: {claimName: code}}]
  containers:
  - resources: {requests: {memory: 8Gi}, limits: {memory: 16Gi}}
    volumeMounts: [{name: code, mountPath: /code}]
"""
    )
    chosen = options(
        {
            "TUNEBOOK_KUBERNETES_TEMPLATE": str(template),
            "TUNEBOOK_KUBERNETES_LABELS": "gpu=h200:nvidia.com/gpu.product=NVIDIA-H200",
            "TUNEBOOK_KUBERNETES_SERVICE_ACCOUNT": "trainer",
        },
        tmp_path,
    )
    made = manifest(job(tmp_path), options=chosen, data=tmp_path, owner="me")
    for version in VERSIONS:
        kubernetes_validate.validate(made, version, strict=True)
    spec = made["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    asked = {"nvidia.com/gpu": "2", "cpu": "8"}
    assert container["resources"] == {
        "requests": {"memory": "8Gi", **asked},
        "limits": {"memory": "16Gi", **asked},
    }
    assert container["command"][1:] == ["-P", "-m", "tunebook_worker.on_node", str(tmp_path / "7-1; $(rm)")]
    assert spec["nodeSelector"] == {"pool": "train", "nvidia.com/gpu.product": "NVIDIA-H200"}
    assert spec["serviceAccountName"] == "trainer"
    assert spec["terminationGracePeriodSeconds"] == 40
    assert spec["securityContext"]["fsGroup"] == 7
    assert spec["securityContext"]["runAsUser"] == os.geteuid()
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/code", str(tmp_path), "/dev/shm"}
    for metadata in (made["metadata"], made["spec"]["template"]["metadata"]):
        assert metadata["labels"].items() >= {"team": "vision", "tunebook/worker": "me"}.items()
    bare = manifest(job(tmp_path, gpus=0), options=chosen, data=tmp_path, owner="me")
    (container,) = bare["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}]


def documented() -> list[dict[str, Any]]:
    """The role and the pod template that the documentation shows."""
    text = (Path(__file__).parents[2] / "docs/launchers.md").read_text()
    return [yaml.safe_load(part.split("```")[0]) for part in text.split("```yaml\n")[1:]]


def test_the_documented_rights_are_enough_and_all_used(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role, _ = documented()
    kubernetes_validate.validate(role, VERSIONS[-1], strict=True)
    engine = launcher(cluster, tmp_path, monkeypatch)
    engine.submit(job(tmp_path))
    engine.jobs()
    until(lambda: cluster.phases() == ["Succeeded"], "the pod has ended")
    assert engine.logs(job(tmp_path), 100) == b""
    engine.interrupt(list(cluster.jobs))
    verbs = {"POST": "create", "GET": "list", "DELETE": "delete"}
    used = set()
    for method, _, path in (asked.partition(" ") for asked in cluster.asked):
        kind = path.split(f"/namespaces/{NAMESPACE}/")[1].split("/")
        used.add(("pods/log", "get") if kind[-1] == "log" else (kind[0], verbs[method]))
    given = {(kind, verb) for rule in role["rules"] for kind in rule["resources"] for verb in rule["verbs"]}
    assert used == given


def test_the_documented_template_is_taken(tmp_path: Path) -> None:
    _, template = documented()
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(template))
    chosen = options({"TUNEBOOK_KUBERNETES_TEMPLATE": str(tmp_path / "pod.yaml")}, tmp_path)
    made = manifest(job(tmp_path), options=chosen, data=tmp_path, owner="me")
    kubernetes_validate.validate(made, VERSIONS[-1], strict=True)


def test_every_worker_s_name_becomes_a_label() -> None:
    assert owner_label("a100") == "a100"
    for name in ("ends-with-a-dash-", "x" * 64):
        assert len(owner_label(name)) < 64
        assert owner_label(name)[-1].isalnum()
    assert owner_label("x" * 64) != owner_label("x" * 65)


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("IMAGE", "", "Set TUNEBOOK_KUBERNETES_IMAGE"),
        ("IMAGE", "two words", "no spaces"),
        ("VOLUME", "", "Set TUNEBOOK_KUBERNETES_VOLUME"),
        ("VOLUME", "Shared_Data", "VOLUME=Shared_Data"),
        ("NAMESPACE", "a.b", "NAMESPACE=a.b"),
        ("SERVICE_ACCOUNT", "-a", "SERVICE_ACCOUNT=-a"),
        ("GPU", "a/b/c", "GPU=a/b/c"),
        ("START_SECONDS", "0", "START_SECONDS=0"),
        ("LABELS", "gpu=h200", "key=value:node-label=value"),
        ("LABELS", "gpu=a:x=y gpu=b:x=z", "gpu twice"),
        ("LABELS", "gpu='open", "No closing quotation"),
        ("TEMPLATE", "/nowhere.yaml", "/nowhere.yaml"),
    ],
)
def test_a_wrong_option_is_named(variable: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(WrongEngineOption, match=said):
        options({f"TUNEBOOK_KUBERNETES_{variable}": text}, tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- a list", "a pod template with `spec`"),
        ("{spec: [", "pod.yaml"),
        ("{containers: []}", "'containers' has no place here"),
        ("{metadata: {name: x}}", "'name' has no place here"),
        ("{spec: {restartPolicy: Always}}", "restartPolicy is set by Tunebook itself"),
        ("{spec: {containers: [{command: [sh]}]}}", "command is set by Tunebook itself"),
        ("{spec: {containers: [{}, {}]}}", "one container"),
    ],
)
def test_a_wrong_template_is_named(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(content)
    with pytest.raises(WrongEngineOption, match=said):
        options({"TUNEBOOK_KUBERNETES_TEMPLATE": str(tmp_path / "pod.yaml")}, tmp_path)


def test_without_a_cluster_a_worker_says_so(tmp_path: Path) -> None:
    with pytest.raises(WrongEngineOption, match="set KUBECONFIG"):
        options({"KUBECONFIG": str(tmp_path / "none")}, tmp_path)


def launcher(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changed: str) -> Kubernetes:
    monkeypatch.setenv("KUBECONFIG", cluster.environment["KUBECONFIG"])
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", os.environ["KUBECONFIG"]
    )
    settings = {"TUNEBOOK_KUBERNETES_PYTHON": "true", **cluster.environment, **changed}
    return Kubernetes(options=options(settings, tmp_path), data=tmp_path, worker="me")


def test_one_look_is_two_questions_and_reads_all_pages(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.places = 0
    engine = launcher(cluster, tmp_path, monkeypatch)
    for number in range(7):
        engine.submit(job(tmp_path, name=f"tunebook-{number}-1-0a0b0c0d"))
    cluster.asked.clear()
    assert {one.state for one in engine.jobs().values()} == {EngineState.WAITING}
    places = [f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", f"/api/v1/namespaces/{NAMESPACE}/pods"]
    assert cluster.asked == [f"GET {place}" for place in places]
    monkeypatch.setattr("tunebook_worker.launchers.kubernetes.PAGE", 3)
    assert len(engine.jobs()) == 7
    engine.withdraw([*cluster.jobs, "unknown"])
    assert engine.jobs() == {}


def test_a_typo_in_the_template_is_refused_by_name(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump({"spec": {"tolerationz": []}}))
    template = {"TUNEBOOK_KUBERNETES_TEMPLATE": str(tmp_path / "pod.yaml")}
    engine = launcher(cluster, tmp_path, monkeypatch, **template)
    with pytest.raises(Refused, match="tolerationz"):
        engine.submit(job(tmp_path))


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, Refused), (403, Refused), (413, Refused), (401, EngineDown), (429, EngineDown), (500, EngineDown)],
)
def test_what_may_be_otherwise_later_is_no_refusal(
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    expected: type[Exception],
) -> None:
    cluster.refuses = (status, "Some", "words of the API")
    with pytest.raises(expected, match="words of the API"):
        launcher(cluster, tmp_path, monkeypatch).submit(job(tmp_path))


def pod(phase: str = "Pending", *conditions: dict[str, str], **status: Any) -> dict[str, Any]:
    meta = {"name": "x-1", "labels": {"tunebook/job": "x"}, "creationTimestamp": "2026-01-01T00:00:00Z"}
    if status.pop("deleted", False):
        meta |= {"deletionTimestamp": "2026-01-01T00:01:00Z"}
    return {"metadata": meta, "spec": {}, "status": {"phase": phase, "conditions": [*conditions], **status}}


def container(**state: Any) -> list[dict[str, Any]]:
    return [{"name": "trial", "state": state}]


def true(kind: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": reason}


@pytest.mark.parametrize(
    ("given", "state", "detail"),
    [
        (pod(), EngineState.WAITING, "Pending"),
        (
            pod("Pending", {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}),
            EngineState.WAITING,
            "Unschedulable",
        ),
        (
            pod(containerStatuses=container(waiting={"reason": "ContainerCreating"})),
            EngineState.WAITING,
            "Pending",
        ),
        (
            pod(containerStatuses=container(waiting={"reason": "InvalidImageName"})),
            EngineState.ENDED,
            "InvalidImageName",
        ),
        (pod("Running"), EngineState.RUNNING, "Running"),
        (pod("Unknown"), EngineState.RUNNING, "Unknown"),
        (pod("Running", deleted=True), EngineState.RUNNING, "Terminating"),
        (pod("Succeeded"), EngineState.ENDED, "Completed"),
        (
            pod("Failed", true("DisruptionTarget", "TerminationByKubelet"), reason="Evicted"),
            EngineState.TAKEN,
            "TerminationByKubelet",
        ),
        (
            pod("Failed", reason="Evicted", message="over its limit"),
            EngineState.ENDED,
            "Evicted: over its limit",
        ),
        (pod("Failed", reason="OutOfcpu"), EngineState.TAKEN, "OutOfcpu"),
        (pod("Failed", reason="NodeLost"), EngineState.TAKEN, "NodeLost"),
        (pod("Failed", reason="Terminated"), EngineState.TAKEN, "Terminated"),
        (pod("Failed", reason="DeadlineExceeded"), EngineState.ENDED, "DeadlineExceeded"),
        (
            pod("Failed", containerStatuses=container(terminated={"exitCode": 137, "reason": "OOMKilled"})),
            EngineState.ENDED,
            "OOMKilled (exit code 137)",
        ),
        (
            pod("Failed", containerStatuses=container(terminated={"exitCode": 3, "reason": "Error"})),
            EngineState.ENDED,
            "exit code 3",
        ),
    ],
)
def test_a_pod_s_state_is_told(given: dict[str, Any], state: EngineState, detail: str) -> None:
    meta = {"name": "x", "labels": {}}
    look = looks([{"metadata": meta, "spec": {}, "status": {"active": 1}}], [given])["x"]
    assert (look.state, look.detail) == (state, detail)


@pytest.mark.parametrize(
    ("condition", "suspended", "state", "detail"),
    [
        (None, False, EngineState.WAITING, "it has no pod yet"),
        (None, True, EngineState.WAITING, "Suspended"),
        (true("Complete", ""), False, EngineState.ENDED, "Completed"),
        (true("Failed", "BackoffLimitExceeded"), False, EngineState.TAKEN, "its pod was deleted"),
        (true("Failed", "PodFailurePolicy"), False, EngineState.TAKEN, "PodFailurePolicy"),
        (true("Failed", "DeadlineExceeded"), False, EngineState.ENDED, "DeadlineExceeded"),
    ],
)
def test_a_job_without_a_pod_is_told(
    condition: dict[str, str] | None, suspended: bool, state: EngineState, detail: str
) -> None:
    status = {"conditions": [condition] if condition else []}
    look = looks([{"metadata": {"name": "x"}, "spec": {"suspend": suspended}, "status": status}], [])["x"]
    assert (look.state, look.detail) == (state, detail)


def test_of_two_pods_the_one_that_runs_counts() -> None:
    over, alive = pod("Failed", reason="NodeLost"), pod("Running")
    over["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    for pods in ([over, alive], [alive, over]):
        assert looks([], pods)["x"].state is EngineState.RUNNING


def test_a_pod_that_others_labelled_is_passed_over() -> None:
    theirs = pod(containerStatuses=container(waiting={"reason": "InvalidImageName"}))
    theirs["metadata"]["labels"] = {"tunebook/worker": "me"}
    assert looks([], [theirs]) == {}


def test_a_job_that_is_being_deleted_and_has_no_pod_is_gone() -> None:
    meta = {"name": "x", "deletionTimestamp": "2026-01-01T00:01:00Z"}
    assert looks([{"metadata": meta, "spec": {}, "status": {}}], []) == {}

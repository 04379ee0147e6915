"""What the lists of Jobs and pods say of each attempt, in an engine's words.

The pod goes before its Job: it is what runs. Fields as in the reference of batch/v1 and core/v1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tunebook_worker.launchers.engine import EngineState
from tunebook_worker.launchers.kubernetes_pod import JOB

Document = Mapping[str, Any]
OVER = frozenset({"Succeeded", "Failed"})
STUCK = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "RegistryUnavailable",
        "ImageInspectError",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreStartHookError",
    }
)
"""Why a container does not start, yet may after all: a registry comes back, a volume appears."""
HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
NOT_ADMITTED = ("OutOf", "UnexpectedAdmissionError", "NodeAffinity", "TopologyAffinity", "Preempting")
NODE_WENT = ("NodeLost", "NodeShutdown", "Shutdown", "Terminated")
"""Reasons that a node gives for a pod that it refused or ended, without the condition DisruptionTarget. Not
"Evicted": with that condition the node was short of something, without it the pod was over its own limit."""


@dataclass(frozen=True, slots=True)
class Look:
    """`lasting`: what it is instead once this has lasted for longer than the worker is patient, and
    `patience_seconds` more."""

    state: EngineState
    detail: str
    leaving: bool = False
    """It is being deleted already."""
    lasting: EngineState | None = None
    patience_seconds: float = 0.0


def looks(jobs: Iterable[Document], pods: Iterable[Document]) -> dict[str, Look]:
    """By the Job's name. One that is being deleted and has no pod any more is as good as gone."""
    by_name = {job["metadata"]["name"]: job for job in jobs}
    of_job: dict[str, Document] = {}
    for pod in sorted(pods, key=_rank):
        if job_of(pod):
            of_job[job_of(pod)] = pod
    found = {}
    for name in by_name.keys() | of_job.keys():
        look = _look(by_name.get(name), of_job.get(name))
        if look is not None:
            found[name] = look
    return found


def job_of(pod: Document) -> str:
    """Empty for a pod that somebody else has labelled."""
    return str(pod["metadata"].get("labels", {}).get(JOB, ""))


def _rank(pod: Document) -> tuple[bool, str]:
    """The last is the one that counts: it runs, or it was the last."""
    return (pod.get("status", {}).get("phase") not in OVER, pod["metadata"].get("creationTimestamp") or "")


def _look(job: Document | None, pod: Document | None) -> Look | None:
    leaving = job is not None and "deletionTimestamp" in job["metadata"]
    if pod is not None:
        return _of_pod(pod, leaving=leaving or job is None)
    if job is None or leaving:
        return None
    return _of_job(job)


def _of_job(job: Document) -> Look:
    """One without a pod: not yet, or not any more."""
    status = job.get("status", {})
    failed = _condition(status, "Failed") or _condition(status, "FailureTarget")
    if failed is not None:
        reason = failed.get("reason", "")
        if reason == "BackoffLimitExceeded":
            return Look(EngineState.TAKEN, "its pod was deleted")
        taken = reason == "PodFailurePolicy"
        return Look(EngineState.TAKEN if taken else EngineState.ENDED, _words(failed, "Failed"))
    if _condition(status, "Complete") or _condition(status, "SuccessCriteriaMet"):
        return Look(EngineState.ENDED, "Completed")
    if job["spec"].get("suspend"):
        return Look(EngineState.WAITING, "Suspended")
    return Look(EngineState.WAITING, "it has no pod yet")


def _of_pod(pod: Document, *, leaving: bool) -> Look:
    status = pod.get("status", {})
    phase = status.get("phase", "Pending")
    if phase in OVER:
        return _over(status)
    ending = "deletionTimestamp" in pod["metadata"]
    if phase == "Pending" and not ending:
        return _pending(status, leaving=leaving)
    state = EngineState.WAITING if phase == "Pending" else EngineState.RUNNING
    if not ending:
        return Look(state, phase, leaving)
    # A node that is lost never says that the pod has ended: it stays like this.
    grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    target = _condition(status, "DisruptionTarget")
    words = _words(target, "Terminating") if target else "Terminating"
    return Look(state, words, True, EngineState.TAKEN, grace)


def _pending(status: Document, *, leaving: bool) -> Look:
    for container in _containers(status):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in STUCK:
            return Look(EngineState.WAITING, _words(waiting, ""), leaving, EngineState.ENDED)
        if waiting.get("reason") in HOPELESS:
            return Look(EngineState.ENDED, _words(waiting, ""), leaving)
    scheduled = _condition(status, "PodScheduled", "False")
    return Look(EngineState.WAITING, _words(scheduled, "Pending") if scheduled else "Pending", leaving)


def _over(status: Document) -> Look:
    target = _condition(status, "DisruptionTarget")
    if target is not None:
        return Look(EngineState.TAKEN, _words(target, "DisruptionTarget"))
    reason = status.get("reason") or ""
    if reason.startswith(NOT_ADMITTED) or reason in NODE_WENT:
        return Look(EngineState.TAKEN, _words(status, reason))
    if reason:
        return Look(EngineState.ENDED, _words(status, reason))
    for container in _containers(status):
        ended = container.get("state", {}).get("terminated")
        if ended is not None and ended.get("exitCode"):
            words = f"exit code {ended['exitCode']}"
            known = ended.get("reason") not in (None, "Error")
            return Look(EngineState.ENDED, f"{ended['reason']} ({words})" if known else words)
    return Look(EngineState.ENDED, "Completed" if status.get("phase") == "Succeeded" else "Failed")


def _containers(status: Document) -> list[Document]:
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _condition(status: Document, kind: str, value: str = "True") -> Document | None:
    for condition in status.get("conditions") or []:
        if condition.get("type") == kind and condition.get("status") == value:
            return dict(condition)
    return None


def _words(source: Document, otherwise: str) -> str:
    """A reason and a message, as Kubernetes gives them to nearly everything."""
    reason, message = source.get("reason") or otherwise, " ".join((source.get("message") or "").split())
    return f"{reason}: {message}"[:300] if message else reason

"""What Kubernetes is asked to create for one attempt: a Job of one pod, started once."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunebook_worker.kubernetes_options import LABEL_VALUE, KubernetesOptions
from tunebook_worker.launchers.engine import EngineJob

OWNER, JOB = "tunebook/worker", "tunebook/job"
"""Labels of the Job and its pod: whose it is, and the Job's name."""
CONTAINER = "trial"
KEPT_SECONDS = 3600
"""A Job that has ended stays in the list for so long: a worker that was away still reads how."""
DISRUPTED = {"type": "DisruptionTarget", "status": "True"}
SHARED_MEMORY = "/dev/shm"  # noqa: S108 – a place in the pod, its own


def owner_label(worker: str) -> str:
    """The worker's name, where that can be a label; else a word of its own made of it."""
    if re.fullmatch(LABEL_VALUE, worker):
        return worker
    return f"worker-{hashlib.sha256(worker.encode()).hexdigest()[:32]}"


def manifest(job: EngineJob, *, options: KubernetesOptions, data: Path, owner: str) -> dict[str, Any]:
    """A batch/v1 Job. A pod that the cluster takes away ends it, for its second start would train nothing."""
    given = options.template.get("metadata", {})
    ours = {OWNER: owner, JOB: job.name, "app.kubernetes.io/managed-by": "tunebook"}
    # On the Job as well: queues such as Kueue look there.
    marks = {**given, "labels": {**(given.get("labels") or {}), **ours}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name, **marks},
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "podFailurePolicy": {"rules": [{"action": "FailJob", "onPodConditions": [DISRUPTED]}]},
            "template": {
                "metadata": marks,
                "spec": _spec(job, options, data),
            },
        },
    }


def _spec(job: EngineJob, options: KubernetesOptions, data: Path) -> dict[str, Any]:
    template = options.template.get("spec", {})
    chosen = dict(options.labels[pair] for pair in sorted(job.labels.items()) if pair in options.labels)
    given = (template.get("containers") or [{}])[0]
    volumes, mounts = _volumes(options, data, given)
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **template,
        **({"serviceAccountName": options.service_account} if options.service_account else {}),
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": max(1, round(job.notice_seconds)),
        "securityContext": {**_identity(), **(template.get("securityContext") or {})},
        "nodeSelector": {**(template.get("nodeSelector") or {}), **chosen},
        "volumes": [*(template.get("volumes") or []), *volumes],
        "containers": [_container(job, options, given, mounts)],
    }


def _container(
    job: EngineJob, options: KubernetesOptions, given: Mapping[str, Any], mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    asked = {
        **({options.gpu: str(job.gpus)} if job.gpus else {}),
        **({"cpu": str(job.cpus)} if job.cpus else {}),
    }
    resources = given.get("resources") or {}
    # Images made for CUDA show every GPU of the node to a container that asked for none.
    hidden = [] if job.gpus else [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}]
    return {
        **given,
        "name": CONTAINER,
        "image": options.image,
        "command": [options.python, "-P", "-m", "tunebook_worker.on_node", str(job.folder)],
        "env": [*(given.get("env") or []), *hidden],
        "resources": {
            **resources,
            "limits": {**(resources.get("limits") or {}), **asked},
            "requests": {**(resources.get("requests") or {}), **asked},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            **(given.get("securityContext") or {}),
        },
        "volumeMounts": [*(given.get("volumeMounts") or []), *mounts],
    }


def _volumes(
    options: KubernetesOptions, data: Path, given: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """DATA where it is for the worker; and shared memory, of which a container has 64 MiB unless it says so:
    too little for loaders of training data that are processes."""
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    if options.volume:
        volumes.append({"name": "tunebook-data", "persistentVolumeClaim": {"claimName": options.volume}})
        mounts.append({"name": "tunebook-data", "mountPath": str(data)})
    taken = {mount.get("mountPath") for mount in given.get("volumeMounts") or [] if isinstance(mount, dict)}
    if SHARED_MEMORY not in taken:
        volumes.append({"name": "tunebook-shm", "emptyDir": {"medium": "Memory"}})
        mounts.append({"name": "tunebook-shm", "mountPath": SHARED_MEMORY})
    return volumes, mounts


def _identity() -> dict[str, Any]:
    """The worker's own: the order is for this user alone. No fsGroup, by which Kubernetes may give every file
    of the volume to a group."""
    user, group = os.geteuid(), os.getegid()
    others = sorted(set(os.getgroups()) - {group})
    return {
        "runAsUser": user,
        "runAsGroup": group,
        "seccompProfile": {"type": "RuntimeDefault"},
        **({"runAsNonRoot": True} if user else {}),
        **({"supplementalGroups": others} if others else {}),
    }

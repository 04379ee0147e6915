"""What a worker for Kubernetes is told besides. Functions here raise ValueError, with words for people."""

import importlib.util
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
"""Of a claim or an account: RFC 1123."""
NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
PLAIN = re.compile(r"[!-~]{1,500}")
LABEL_NAME = r"(?:[a-z0-9][-a-z0-9.]{0,252}/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LABEL_VALUE = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
RESOURCE = re.compile(LABEL_NAME)
_LABEL = re.compile(
    rf"(?P<key>[A-Za-z0-9_.-]{{1,64}})=(?P<value>[A-Za-z0-9_.-]{{1,64}}):"
    rf"(?P<node_key>{LABEL_NAME})=(?P<node_value>{LABEL_VALUE})"
)
OURS_IN_SPEC = frozenset({"restartPolicy", "terminationGracePeriodSeconds"})
OURS_IN_CONTAINER = frozenset({"name", "image", "command", "args"})
IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
"""Kubernetes sets it in every pod."""


@dataclass(frozen=True, slots=True)
class KubernetesOptions:
    image: str
    python: str
    """The interpreter in the image: a name on its PATH, or a path."""
    namespace: str
    """Empty: the one of the configuration."""
    volume: str
    """The claim that holds DATA; empty where the template mounts it."""
    service_account: str
    gpu: str
    """What one GPU is called among the cluster's resources."""
    start_seconds: float
    """How long a pod may be unable to start, such as for want of its image."""
    labels: Mapping[tuple[str, str], tuple[str, str]]
    """A label that the worker offers, and the label of such nodes."""
    template: Mapping[str, Any]
    """A pod template's `metadata` and `spec`, checked by `_template`."""


def read(environment: Mapping[str, str], *, start_seconds: float) -> KubernetesOptions:
    if importlib.util.find_spec("kubernetes") is None:
        raise ValueError("--launcher kubernetes needs its client: pip install 'tunebook[kubernetes]'.")
    _configured(environment)
    template = _template(environment.get("TUNEBOOK_KUBERNETES_TEMPLATE", ""))
    options = KubernetesOptions(
        image=_plain(environment, "TUNEBOOK_KUBERNETES_IMAGE"),
        python=_plain(environment, "TUNEBOOK_KUBERNETES_PYTHON", default="python"),
        namespace=_matching(environment, "TUNEBOOK_KUBERNETES_NAMESPACE", NAMESPACE),
        volume=_matching(environment, "TUNEBOOK_KUBERNETES_VOLUME", NAME),
        service_account=_matching(environment, "TUNEBOOK_KUBERNETES_SERVICE_ACCOUNT", NAME),
        gpu=_matching(environment, "TUNEBOOK_KUBERNETES_GPU", RESOURCE) or "nvidia.com/gpu",
        start_seconds=start_seconds,
        labels=_labels(environment.get("TUNEBOOK_KUBERNETES_LABELS", "")),
        template=template,
    )
    if not options.volume and not template:
        raise ValueError(
            "Set TUNEBOOK_KUBERNETES_VOLUME: the persistent volume claim whose volume is TUNEBOOK_DATA here."
        )
    return options


def _configured(environment: Mapping[str, str]) -> None:
    files = environment.get("KUBECONFIG") or str(Path(environment.get("HOME", "~")) / ".kube" / "config")
    if IN_CLUSTER not in environment and not any(Path(f).exists() for f in files.split(os.pathsep) if f):
        raise ValueError(
            f"--launcher kubernetes: no cluster is known, for {files} does not exist; set KUBECONFIG."
        )


def _plain(environment: Mapping[str, str], variable: str, *, default: str = "") -> str:
    text = environment.get(variable, "").strip() or default
    if not text:
        raise ValueError(f"Set {variable}: the image that trials run in, with tunebook[worker] installed.")
    if not PLAIN.fullmatch(text):
        raise ValueError(f"{variable}={text!r}: no spaces and no control characters.")
    return text


def _matching(environment: Mapping[str, str], variable: str, shape: re.Pattern[str]) -> str:
    text = environment.get(variable, "").strip()
    if text and not shape.fullmatch(text):
        raise ValueError(f"{variable}={text}: Kubernetes allows no such name.")
    return text


def _labels(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    labels: dict[tuple[str, str], tuple[str, str]] = {}
    variable = "TUNEBOOK_KUBERNETES_LABELS"
    for word in shlex.split(text):
        found = _LABEL.fullmatch(word)
        if found is None:
            raise ValueError(f"{variable}: {word!r}: key=value:node-label=value.")
        if found["key"] in dict(labels.keys()):
            raise ValueError(f"{variable}: {found['key']} twice; a worker has one value of each.")
        labels[found["key"], found["value"]] = (found["node_key"], found["node_value"])
    return labels


def _template(path: str) -> dict[str, Any]:
    """Empty without one."""
    if not path:
        return {}
    import yaml

    said = f"TUNEBOOK_KUBERNETES_TEMPLATE {path}"
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{said}: {' '.join(str(error).split())}") from None
    template = _mapping(content, said, "a pod template with `spec`, and `metadata` if need be")
    _only(template, {"apiVersion", "kind", "metadata", "spec"}, said)
    metadata = _mapping(template.get("metadata") or {}, said, "metadata has labels and annotations")
    _only(metadata, {"labels", "annotations"}, f"{said}: metadata")
    spec = _mapping(template.get("spec") or {}, said, "spec is a mapping")
    containers = spec.get("containers") or [{}]
    if not isinstance(containers, list) or len(containers) > 1:
        raise ValueError(f"{said}: one container, the training's; others would keep the job from ending.")
    container = _mapping(containers[0], said, "a container is a mapping")
    for ours, part in ((OURS_IN_SPEC, spec), (OURS_IN_CONTAINER, container)):
        for name in sorted(ours & part.keys()):
            raise ValueError(f"{said}: {name} is set by Tunebook itself.")
    return {"metadata": metadata, "spec": {**spec, "containers": [container]}}


def _mapping(content: object, said: str, wanted: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"{said}: {wanted}.")
    return content


def _only(content: Mapping[str, Any], known: set[str], said: str) -> None:
    for name in sorted(content.keys() - known):
        raise ValueError(f"{said}: {name!r} has no place here; known are {', '.join(sorted(known))}.")

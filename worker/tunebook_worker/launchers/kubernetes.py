"""Kubernetes, by its own client: a Job for each attempt, two lists for each look, whatever their number."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tunebook_worker.kubernetes_options import IN_CLUSTER, KubernetesOptions
from tunebook_worker.launchers.engine import (
    EngineDown,
    EngineJob,
    EngineState,
    Refused,
    Seen,
    WrongConfiguration,
)
from tunebook_worker.launchers.kubernetes_pod import CONTAINER, JOB, OWNER, manifest, owner_label
from tunebook_worker.launchers.kubernetes_state import Look, job_of, looks
from tunebook_worker.log import warn

ANSWER_SECONDS = (10.0, 60.0)
"""To connect, and for the answer."""
PAGE = 500
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
LATER = frozenset({401, 408, 409, 425, 429})
"""Besides 5xx, answers that may be others later; 401: a login that has run out can be renewed."""
LAST_LINES = 40


class Kubernetes:
    title = "Kubernetes"

    def __init__(self, *, options: KubernetesOptions, data: Path, worker: str) -> None:
        """`data`: where the shared volume is, here and in every pod. Raises WrongConfiguration."""
        from kubernetes import client

        self._options, self._data, self._owner = options, data, owner_label(worker)
        api, namespace = _connect()
        self._namespace = options.namespace or namespace
        # Their declared types are of answers as objects; we ask for them as they came (`_raw`).
        self._batch: Any = client.BatchV1Api(api)
        self._core: Any = client.CoreV1Api(api)
        self._since: dict[tuple[str, str], float] = {}
        """When each state that must not last was first seen, by name and what it would become."""
        self._leaving: frozenset[str] = frozenset()

    def submit(self, job: EngineJob) -> None:
        from kubernetes.client import ApiException

        body = manifest(job, options=self._options, data=self._data, owner=self._owner)
        try:
            with _answering():
                answer = self._batch.create_namespaced_job(
                    self._namespace, body, field_validation="Strict", **_raw()
                )
                _read(answer)
        except ApiException as error:
            said = _said(error)
            if error.status == 409 and _reason(error) == "AlreadyExists":
                return  # it was taken the first time, and we did not hear so
            if (error.status or 500) >= 500 or error.status in LATER or "exceeded quota" in said:
                raise EngineDown(said) from None
            raise Refused(said) from None
        except ValueError as error:  # a template with fields that the client does not know
            raise Refused(" ".join(str(error).split())) from None

    def jobs(self) -> Mapping[str, Seen]:
        """Jobs are asked for first: one that has failed by then has its pod in the second list, unless that
        was deleted. Those that cannot start are taken out, or their pods would try for ever."""
        selector = f"{OWNER}={self._owner}"
        jobs = self._list(self._batch.list_namespaced_job, selector)
        pods = self._list(self._core.list_namespaced_pod, selector)
        found = looks(jobs, pods)
        self._leaving = frozenset(name for name, look in found.items() if look.leaving)
        seen = {name: Seen(name, self._state(name, look), look.detail) for name, look in found.items()}
        self._since = {key: at for key, at in self._since.items() if key[0] in seen}
        tries = {job_of(pod) for pod in pods if pod.get("status", {}).get("phase") == "Pending"}
        self._delete(name for name in tries & seen.keys() if seen[name].state is EngineState.ENDED)
        return seen

    def withdraw(self, ids: Collection[str]) -> None:
        self._delete(ids)

    def interrupt(self, ids: Collection[str]) -> None:
        """The pod's first process, the supervisor, gets SIGTERM, and SIGKILL after the grace that it was
        created with."""
        self._delete(ids)

    def logs(self, job: EngineJob, limit_bytes: int) -> bytes:
        from kubernetes.client import ApiException

        pods = self._list(self._core.list_namespaced_pod, f"{OWNER}={self._owner},{JOB}={job.name}")
        try:
            for pod in pods:
                with _answering():
                    answer = self._core.read_namespaced_pod_log(
                        pod["metadata"]["name"],
                        self._namespace,
                        container=CONTAINER,
                        tail_lines=LAST_LINES,
                        **_raw(),
                    )
                    return _read(answer)[-limit_bytes:]
        except ApiException:
            return b""  # its container never started, or its node does not answer
        return b""

    def _state(self, name: str, look: Look) -> EngineState:
        """By this host's clock alone."""
        key = (name, "" if look.lasting is None else look.lasting.value)
        if look.lasting is None:
            return look.state
        now = time.monotonic()
        if key not in self._since:
            self._since[key] = now
            if look.lasting is EngineState.ENDED:
                warn("a pod cannot start", job=name, detail=look.detail)
        late = now - self._since[key] > self._options.start_seconds + look.patience_seconds
        return look.lasting if late else look.state

    def _list(self, ask: Callable[..., Any], selector: str) -> list[dict[str, Any]]:
        """As plain documents: the client's own objects cost more than the network, and a field that they do
        not know must not hide a job."""
        from kubernetes.client import ApiException

        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {}
        try:
            while True:
                with _answering():
                    answer = ask(self._namespace, label_selector=selector, limit=PAGE, **page, **_raw())
                    document = json.loads(_read(answer))
                found += document.get("items") or []
                following = (document.get("metadata") or {}).get("continue")
                if not following:
                    return found
                page = {"_continue": following}
        except ApiException as error:
            raise EngineDown(_said(error)) from None

    def _delete(self, names: Collection[str] | Iterator[str]) -> None:
        """The Job stays in the list until its pod has ended."""
        from kubernetes.client import ApiException

        for name in names:
            if name in self._leaving:
                continue
            try:
                with _answering():
                    answer = self._batch.delete_namespaced_job(
                        name, self._namespace, propagation_policy="Foreground", **_raw()
                    )
                    _read(answer)
            except ApiException as error:
                if error.status != 404:
                    raise EngineDown(_said(error)) from None


def _raw() -> dict[str, Any]:
    return {"_preload_content": False, "_request_timeout": ANSWER_SECONDS}


def _read(answer: Any) -> bytes:
    """All of it, or the next answer on this connection would begin with the rest."""
    return bytes(answer.data)


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Whatever goes wrong on the way there and back is a server that does not answer; what it says itself is
    an ApiException, which goes on."""
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (HTTPError, OSError, ConfigException, json.JSONDecodeError) as error:
        raise EngineDown(str(error)) from None


def _connect() -> tuple[Any, str]:
    """A client by KUBECONFIG, or by the account of the pod that this worker runs in; and its namespace."""
    from kubernetes import client, config

    chosen = client.Configuration()
    chosen.retries = False
    try:
        if os.environ.get("KUBECONFIG") or IN_CLUSTER not in os.environ:
            config.load_kube_config(client_configuration=chosen)
            _, context = config.list_kube_config_contexts()
            namespace = str(context["context"].get("namespace") or "default")
        else:
            config.load_incluster_config(client_configuration=chosen)
            namespace = NAMESPACE_FILE.read_text().strip()
    except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        raise WrongConfiguration(f"Kubernetes' configuration: {error}") from None
    return client.ApiClient(chosen), namespace


def _said(error: Any) -> str:
    """The message of the Status that an API server answers with; else what a proxy said."""
    message = _status(error).get("message") or error.reason or error.body or ""
    return " ".join(str(message).split())[:400] or f"HTTP {error.status}"


def _reason(error: Any) -> str:
    return str(_status(error).get("reason") or "")


def _status(error: Any) -> dict[str, Any]:
    try:
        status = json.loads(error.body)
    except (TypeError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}

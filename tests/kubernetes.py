"""A recorded Kubernetes API for tests: no cluster, but the few paths that the launcher uses, over real HTTP.

What is sent is checked against the published schemas of several versions, strictly; what is answered has the
shape of the documented objects and is checked as well. A pod's command runs as a process of this host, with
the pod's own environment alone. It is told by SIGTERM, and by SIGKILL after its grace; then its Job gets the
conditions that a controller gives it. Scheduling, images, volumes and accounts are only pretended.
"""

import contextlib
import functools
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml

from tests.live import free_port

VERSIONS = ("1.27", "1.31", "1.37")
"""The oldest that the launcher is for, one between, and the client's own."""
NAMESPACE, TOKEN = "tuning", "the-worker-s-own-token"
Document = dict[str, Any]

# Megabytes of schemas would be read for each request.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


class Cluster:
    """`places`: how many pods run at once; None: none is too many."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.jobs: dict[str, Document] = {}
        self.pods: dict[str, Document] = {}
        self.places: int | None = None
        self.refuses: tuple[int, str, str] | None = None
        """With which status, reason and message a new Job is answered."""
        self.deaf = False
        """Jobs are created, but nobody hears so: the connection ends instead of an answer."""
        self.waiting: Document | None = None
        """Why containers do not start, as the state of a waiting container."""
        self.asked: list[str] = []
        """Method and path of each request."""
        self.connections: set[socket.socket] = set()
        """Those that clients keep open between their questions."""
        self.created: list[Document] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._server: ThreadingHTTPServer | None = None
        self._port = free_port()
        self._numbers = itertools.count(1)
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "KUBECONFIG": str(folder / "config"),
            "TUNEBOOK_KUBERNETES_IMAGE": "example.org/train:1",
        }
        self._configure()

    def start(self) -> None:
        answer = type("Answer", (_Answer,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), answer)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """The API alone: pods run on, as in a cluster."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        for connection in list(self.connections):
            with contextlib.suppress(OSError):  # it was closed from the other side
                connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Between tests."""
        if self._server is None:
            self.start()
        with self.lock:
            self.places, self.refuses, self.waiting, self.deaf = None, None, None, False
            for process in self._running.values():
                process.kill()
            self.jobs.clear()
            self.pods.clear()
            self.asked.clear()
            self.created.clear()

    # What others do to a cluster.

    def free(self, places: int | None = None) -> None:
        with self.lock:
            self.places = places
            self._schedule()

    def repair(self) -> None:
        """Images can be pulled again."""
        with self.lock:
            self.waiting = None
            self._schedule()

    def phases(self) -> list[str]:
        with self.lock:
            return sorted(pod["status"]["phase"] for pod in self.pods.values())

    def pod_of(self, job: str) -> Document:
        return next(pod for pod in self.pods.values() if pod["metadata"]["labels"]["tunebook/job"] == job)

    def preempt(self, job: str, reason: str = "PreemptionByScheduler") -> None:
        """A pod is deleted for one that is worth more: the condition, SIGTERM, SIGKILL after its grace."""
        with self.lock:
            pod = self.pod_of(job)
            pod["status"]["conditions"].append(
                _condition("DisruptionTarget", "True", reason, "a better one came")
            )
            self._end(pod)

    def delete_pod(self, job: str) -> None:
        with self.lock:
            self._end(self.pod_of(job))

    def delete_job(self, job: str) -> None:
        with self.lock:
            del self.jobs[job]
            self._end(self.pod_of(job))

    def kill(self, job: str, number: signal.Signals = signal.SIGKILL) -> None:
        with self.lock:
            self._running[self.pod_of(job)["metadata"]["name"]].send_signal(number)

    def lose_node(self, job: str) -> None:
        """Its kubelet is not heard any more: the pod is to be deleted, but nobody says that it has ended."""
        with self.lock:
            pod = self.pod_of(job)
            pod["status"]["conditions"].append(
                _condition("DisruptionTarget", "True", "DeletionByTaintManager", "Taint manager: deleting")
            )
            pod["metadata"] |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": 0}
            self._running.pop(pod["metadata"]["name"]).kill()

    def forget_all(self) -> None:
        with self.lock:
            self.jobs.clear()
            self.pods.clear()

    # What the API server and its controllers do.

    def create(self, job: Document) -> tuple[int, Document]:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(job, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                return _status(400, "BadRequest", f"strict decoding error: {error.message}")
        with self.lock:
            name = job["metadata"]["name"]
            if self.refuses is not None:
                return _status(*self.refuses)
            if name in self.jobs:
                return _status(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
            self.created.append(json.loads(json.dumps(job)))
            job["metadata"] |= {"namespace": NAMESPACE, "creationTimestamp": _now(), "uid": f"uid-{name}"}
            job["status"] = {"active": 1, "startTime": _now()}
            self.jobs[name] = job
            template = job["spec"]["template"]
            labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": name}
            pod = f"{name}-{next(self._numbers):05d}"
            self.pods[pod] = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": pod,
                    "namespace": NAMESPACE,
                    "labels": labels,
                    "creationTimestamp": _now(),
                },
                "spec": template["spec"],
                "status": {
                    "phase": "Pending",
                    "conditions": [
                        _condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available.")
                    ],
                },
            }
            self._schedule()
            return 201, job

    def delete(self, name: str) -> tuple[int, Document]:
        with self.lock:
            job = self.jobs.get(name)
            if job is None:
                return _status(404, "NotFound", f'jobs.batch "{name}" not found')
            job["metadata"] |= {"deletionTimestamp": _now(), "finalizers": ["foregroundDeletion"]}
            for pod in [p for p in self.pods.values() if p["metadata"]["labels"]["tunebook/job"] == name]:
                self._end(pod)
            self._collect()
            return 200, job

    def log(self, pod: str) -> bytes:
        path = self.folder / f"{pod}.log"
        return path.read_bytes() if path.exists() else b""

    def _schedule(self) -> None:
        for name, pod in list(self.pods.items()):
            status = pod["status"]
            if status["phase"] != "Pending" or "deletionTimestamp" in pod["metadata"]:
                continue
            if self.places is not None and len(self._running) >= self.places:
                return
            status["conditions"] = [_condition("PodScheduled", "True", "Scheduled", "")]
            state = {"running": {"startedAt": _now()}} if self.waiting is None else {"waiting": self.waiting}
            status["containerStatuses"] = [_container(state, ready=self.waiting is None)]
            if self.waiting is None:
                status["phase"] = "Running"
                self._run(name, pod)

    def _run(self, name: str, pod: Document) -> None:
        container = pod["spec"]["containers"][0]
        given = {pair["name"]: pair["value"] for pair in container.get("env", [])}
        with (self.folder / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                container["command"],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder), **given},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._running[name] = process
        threading.Thread(target=self._wait, args=(name, pod, process), daemon=True).start()

    def _wait(self, name: str, pod: Document, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self.lock:
            lost = self._running.pop(name, None) is None
            if not lost and name in self.pods:
                self._over(pod, code)
            self._schedule()

    def _over(self, pod: Document, code: int) -> None:
        """The kubelet says how it ended; then the Job's controller draws its conclusions."""
        status, job = pod["status"], self.jobs.get(pod["metadata"]["labels"]["tunebook/job"])
        status["phase"] = "Failed" if code else "Succeeded"
        exit_code = 128 - code if code < 0 else code
        ended = {"exitCode": exit_code, "reason": "Error" if code else "Completed", "finishedAt": _now()}
        status["containerStatuses"] = [_container({"terminated": ended}, ready=False)]
        if job is not None:
            job["status"].pop("active", None)
            job["status"]["failed" if code else "succeeded"] = 1
            taken = code and any(c["type"] == "DisruptionTarget" for c in status["conditions"])
            reason = "PodFailurePolicy" if taken else "BackoffLimitExceeded"
            words = (
                "Pod has condition DisruptionTarget matching FailJob rule at index 0" if taken else "reached"
            )
            job["status"]["conditions"] = [
                _condition("Failed", "True", reason, words)
                if code
                else _condition("Complete", "True", "", "")
            ]
        if "deletionTimestamp" in pod["metadata"]:
            del self.pods[pod["metadata"]["name"]]
        self._collect()

    def _end(self, pod: Document) -> None:
        name, grace = pod["metadata"]["name"], pod["spec"]["terminationGracePeriodSeconds"]
        pod["metadata"] |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": grace}
        process = self._running.get(name)
        if process is None:
            if pod["status"]["phase"] == "Pending":
                self._over(pod, -signal.SIGTERM)
            self.pods.pop(name, None)
            return
        process.send_signal(signal.SIGTERM)
        timer = threading.Timer(grace, process.kill)
        timer.daemon = True
        timer.start()

    def _collect(self) -> None:
        """A Job that is being deleted goes once its pods have."""
        with_pods = {pod["metadata"]["labels"]["tunebook/job"] for pod in self.pods.values()}
        for name, job in list(self.jobs.items()):
            if "deletionTimestamp" in job["metadata"] and name not in with_pods:
                del self.jobs[name]

    def _configure(self) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [
                {"name": "here", "context": {"cluster": "here", "user": "me", "namespace": NAMESPACE}}
            ],
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}],
            "users": [{"name": "me", "user": {"token": TOKEN}}],
        }
        (self.folder / "config").write_text(yaml.safe_dump(config))


class _Answer(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.cluster.connections.add(self.connection)

    def finish(self) -> None:
        self.cluster.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: tests read the worker's own log."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self._known("jobs") or self.cluster.create(body)
        if self.cluster.deaf:
            self.close_connection = True
            return
        self._send(*answer)

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, question = self._question()
        assert question["propagationPolicy"] == ["Foreground"]
        self._send(*(self._known("jobs") or self.cluster.delete(path[-1])))

    def do_GET(self) -> None:
        path, question = self._question()
        refused = self._known("jobs", "pods")
        if refused is not None:
            self._send(*refused)
        elif path[-1] == "log":
            self._send(200, self.cluster.log(path[-2]))
        else:
            self._send(200, self._listed(path[-1], question))

    def _listed(self, kind: str, question: dict[str, list[str]]) -> Document:
        """A page at a time, as the client asks: `continue` is the place to go on from."""
        wanted = dict(pair.split("=") for pair in question["labelSelector"][0].split(","))
        start, limit = int(question.get("continue", ["0"])[0]), int(question["limit"][0])
        with self.cluster.lock:
            every = self.cluster.jobs if kind == "jobs" else self.cluster.pods
            found = [one for one in every.values() if wanted.items() <= one["metadata"]["labels"].items()]
            rest = {"continue": str(start + limit)} if len(found) > start + limit else {}
            answer = {
                "apiVersion": "batch/v1" if kind == "jobs" else "v1",
                "kind": "JobList" if kind == "jobs" else "PodList",
                "metadata": {"resourceVersion": "1", **rest},
                "items": json.loads(json.dumps(found[start : start + limit])),
            }
        kubernetes_validate.validate(answer, VERSIONS[-1])
        return answer

    def _known(self, *kinds: str) -> tuple[int, Document] | None:
        """How an API server answers what it does not know or allow; None for what it does."""
        path, _ = self._question()
        self.cluster.asked.append(f"{self.command} {urlsplit(self.path).path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized", "Unauthorized")
        place = path.index("namespaces")
        namespace, kind = path[place + 1 : place + 3]
        if kind not in kinds:
            return _status(403, "Forbidden", f"{kind} is forbidden")
        if namespace != NAMESPACE and self.command == "POST":
            return _status(404, "NotFound", f'namespaces "{namespace}" not found')
        return None

    def _question(self) -> tuple[list[str], dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return parts.path.strip("/").split("/"), parse_qs(parts.query)

    def _send(self, status: int, answer: Document | bytes) -> None:
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header(
                "Content-Type", "text/plain" if isinstance(answer, bytes) else "application/json"
            )
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


def _status(code: int, reason: str, message: str) -> tuple[int, Document]:
    return code, {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def _condition(kind: str, status: str, reason: str, message: str) -> Document:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": _now(),
    }


def _container(state: Document, *, ready: bool) -> Document:
    return {
        "name": "trial",
        "image": "example.org/train:1",
        "imageID": "",
        "restartCount": 0,
        "ready": ready,
        "state": state,
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Ray, by the HTTP interface of its jobs (`/api/jobs/`): nothing of Ray is installed here.

Ray's entrypoint is a line for a shell; it holds two paths, quoted, and no value that anybody typed.
"""

import math
import shlex
import sys
import time
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tunebook.connections import connections, reason
from tunebook_worker.launchers.engine import EngineDown, EngineJob, EngineState, Refused, Seen
from tunebook_worker.ray_options import STOP_WAIT, RayOptions

if TYPE_CHECKING:
    import urllib3

ANSWER_SECONDS = 40.0
"""Ray's dashboard itself waits up to 30 s for the rest of Ray."""
MARGIN_SECONDS = 5.0
STATES = {
    "PENDING": EngineState.WAITING,
    "RUNNING": EngineState.RUNNING,
    "STOPPED": EngineState.TAKEN,
    "SUCCEEDED": EngineState.ENDED,
    "FAILED": EngineState.ENDED,
}
RAYS_OWN_DOING = frozenset({"JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"})
"""Of FAILED: the actor that starts our command died (with its node, mostly), or it waited for too long."""
LOST_BY_RAY = "failed to get job supervisor"
"""The same, where a head that came back looked for the actor in vain."""
NAME_TAKEN = "already exists"
AGENT_REFUSED = "failed with status code 400"
"""The dashboard passes its agent's refusal on as an error of its own."""


class Ray:
    title = "Ray"

    def __init__(self, options: RayOptions, *, grace_seconds: float) -> None:
        """`grace_seconds`: as a supervisor has it for its training."""
        self._options = options
        self._patience_seconds = 2 * grace_seconds + MARGIN_SECONDS
        self._connections = connections(options.address)
        self._withdrawn: set[str] = set()
        self._told_since: dict[str, float] = {}

    def close(self) -> None:
        self._connections.clear()

    def submit(self, job: EngineJob) -> None:
        answer = self._ask("POST", "/api/jobs/", json=self._request(job))
        said = _text(answer)
        if _is_success(answer) or NAME_TAKEN in said:  # an earlier answer was lost on its way
            return
        if answer.status == HTTPStatus.BAD_REQUEST or AGENT_REFUSED in said:
            raise Refused(_last_line(said))
        raise EngineDown(_complaint(answer))

    def jobs(self) -> Mapping[str, Seen]:
        answer = self._ask("GET", "/api/jobs/")
        if not _is_success(answer):
            raise EngineDown(_complaint(answer))
        try:
            rows = [row for row in answer.json() if row["submission_id"]]
            return {row["submission_id"]: seen(row, self._withdrawn) for row in rows}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise EngineDown(f"{self._options.address} does not answer as Ray does: {error!r}") from error

    def withdraw(self, ids: Collection[str]) -> None:
        """Ray keeps a job that was stopped before it began in its queue until there is room, starts it and
        stops it then. Its folder has no order any more, so it counts as gone at once."""
        for name in ids:
            self._stop(name)
            self._withdrawn.add(name)

    def interrupt(self, ids: Collection[str]) -> None:
        """The supervisor reads the worker's word in its folder, and it alone tells the training. Ray's own
        stop signals every process of the job: it is for a supervisor that did not end in time."""
        now = time.monotonic()
        for name in ids:
            if now - self._told_since.setdefault(name, now) > self._patience_seconds:
                self._stop(name)

    def logs(self, job: EngineJob, limit_bytes: int) -> bytes:
        """Empty also where Ray cannot reach the node that has them."""
        try:
            answer = self._ask("GET", f"/api/jobs/{job.name}/logs")
            said = answer.json()["logs"] if _is_success(answer) else ""
        except (EngineDown, ValueError, TypeError, KeyError):
            return b""
        return str(said).encode()[-limit_bytes:]

    def _request(self, job: EngineJob) -> dict[str, Any]:
        command = [sys.executable, "-P", "-m", "tunebook_worker.on_node", str(job.folder)]
        wait_seconds = math.ceil(job.notice_seconds + MARGIN_SECONDS)
        environment = dict(self._options.runtime_env)
        environment["env_vars"] = {**environment.get("env_vars", {}), STOP_WAIT: str(wait_seconds)}
        labels = [self._options.labels.get(pair) for pair in job.labels.items()]
        return {
            "submission_id": job.name,
            "entrypoint": f"exec {shlex.join(command)}",
            "runtime_env": environment,
            # A job that asks for nothing would run on the head, and any number of them at once.
            "entrypoint_num_cpus": job.cpus or 1,
            "entrypoint_num_gpus": job.gpus,
            "entrypoint_resources": dict(filter(None, labels)),
        }

    def _stop(self, name: str) -> None:
        answer = self._ask("POST", f"/api/jobs/{name}/stop")
        if not _is_success(answer) and answer.status != HTTPStatus.NOT_FOUND:
            raise EngineDown(_complaint(answer))

    def _ask(self, method: str, path: str, **content: Any) -> "urllib3.BaseHTTPResponse":
        """Its body is read. `content`: `json`, where the request has a body."""
        from urllib3.exceptions import HTTPError

        try:
            return self._connections.request(
                method,
                self._options.address + path,
                headers=self._options.headers(),
                timeout=ANSWER_SECONDS,
                redirect=False,
                **content,
            )
        except (HTTPError, OSError, ValueError) as error:
            raise EngineDown(f"{self._options.address}: {reason(error)}") from error


def seen(row: Mapping[str, Any], withdrawn: Collection[str] = ()) -> Seen:
    """What a row of Ray's list means. Raises KeyError where it is not one."""
    name, status, kind = str(row["submission_id"]), str(row["status"]), str(row["error_type"] or "")
    message = str(row["message"] or "").strip().partition("\n")[0]
    if kind == "JOB_ENTRYPOINT_COMMAND_ERROR":
        message = f"exit code {row['driver_exit_code']}"
    # A status of a later Ray ends nothing.
    state = STATES.get(status, EngineState.RUNNING)
    if status == "FAILED" and (kind in RAYS_OWN_DOING or LOST_BY_RAY in message):
        state = EngineState.TAKEN
    if status == "PENDING" and name in withdrawn:
        state = EngineState.TAKEN
    words = ": ".join(filter(None, (kind, message)))[:300]
    return Seen(name, state, f"{status} ({words})" if words else status)


def _is_success(answer: "urllib3.BaseHTTPResponse") -> bool:
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES


def _text(answer: "urllib3.BaseHTTPResponse") -> str:
    return answer.data.decode(errors="replace")


def _complaint(answer: "urllib3.BaseHTTPResponse") -> str:
    return f"status {answer.status}: {_last_line(_text(answer))}"


def _last_line(text: str) -> str:
    """Of a traceback, the one that says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:400] if lines else "without a word"

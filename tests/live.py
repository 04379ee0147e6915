"""A whole Tunebook for tests: real Postgres, server, control worker and workers, as processes, at 1/6/1 s."""

import contextlib
import itertools
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import pytest

from tunebook.api import Api
from tunebook.errors import TunebookError
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import access
from tunebook_server.storage.engine import connect

BEAT_SECONDS, LEASE_SECONDS, FENCE_SECONDS, SWEEP_SECONDS = 1.0, 6.0, 5.0, 1.0
GRACE_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
POLL_SECONDS, POLL_MOST_SECONDS = 0.05, 0.25
"""Between two looks; the longer a wait, the rarer: a look costs the server work of its own."""
PROGRAM = "import sys, tunebook.cli; sys.exit(tunebook.cli.main())"
ENDED = {"completed", "infeasible", "stopped", "failed"}

T = TypeVar("T")
_names = itertools.count()


def until(condition: Callable[[], T | None], what: str, within_seconds: float = PATIENCE_SECONDS) -> T:
    """The condition's first true value; fails the test when that takes too long."""
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - began
        if waited > within_seconds:
            pytest.fail(f"after {within_seconds:g} s still not: {what}")
        time.sleep(min(max(waited / 10, POLL_SECONDS), POLL_MOST_SECONDS))


@dataclass
class Process:
    """A part of Tunebook; what it prints goes to a file."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def name(self) -> str:
        return self.log.stem

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def stop(self, within_seconds: float = 20.0) -> int:
        """SIGTERM, and SIGKILL for one that does not end; its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
        try:
            return self.popen.wait(within_seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()


@dataclass
class Live:
    url: str
    api: Api
    """As the owner."""
    token: str
    database_url: str
    data: Path
    """The data folder: checkpoints, and the folders of workers."""
    environment: Mapping[str, str]
    variant: str = ""
    """Python that each part runs before it starts: breaks something on purpose, for controls."""
    processes: list[Process] = field(default_factory=list)
    names: int = 0
    studies: list[int] = field(default_factory=list)
    """Those of the test that runs."""

    @property
    def server(self) -> Process:
        return self.processes[0]

    def start(self, name: str, *arguments: str, **environment: str) -> Process:
        log = self.data / f"{name}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(
                [sys.executable, "-c", f"{self.variant}\n{PROGRAM}", *arguments],
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        process = Process(popen, log)
        self.processes.append(process)
        return process

    def start_server(self) -> Process:
        server = self.start("server", "server")
        self._wait_for(server, self.api)
        return server

    @contextlib.contextmanager
    def replica(self, **environment: str) -> Iterator[tuple[Process, str]]:
        """One more server on the same database, and its address: who speaks to it alone can be cut off."""
        port = free_port()
        server = self.start("replica", "server", "--no-migrate", "--port", str(port), **environment)
        url = f"http://127.0.0.1:{port}"
        try:
            with contextlib.closing(Api(url, self.token)) as api:
                self._wait_for(server, api)
            yield server, url
        finally:
            server.stop()
            self.processes.remove(server)

    @contextlib.contextmanager
    def worker(self, name: str = "", *, slots: int = 1, **environment: str) -> Iterator[Process]:
        """A registered worker of this name; stopped at the end, with its jobs."""
        self.names += 1
        name = name or f"worker-{self.names}"
        engine = connect(self.database_url)
        token = access.create_worker_token(engine, name=name)
        engine.dispose()
        file = self.data / f"{name}.token"
        file.touch(mode=0o600)
        file.write_text(token)
        settings = {
            "TUNEBOOK_URL": self.url,
            "TUNEBOOK_WORKER_TOKEN_FILE": str(file),
            "TUNEBOOK_GRACE_SECONDS": str(GRACE_SECONDS),
            "CUDA_VISIBLE_DEVICES": "",
            **environment,
        }
        worker = self.start(name, "worker", "--slots", str(slots), "--name", name, **settings)
        try:
            until(lambda: worker.popen.poll() is not None or self._sees(name), f"{name} is registered")
            assert worker.popen.poll() is None, worker.log.read_text()
            yield worker
        finally:
            worker.stop()
            self.processes.remove(worker)

    def script(self, program: str, language: str = "python") -> list[str]:
        """The argv that runs this program."""
        self.names += 1
        path = self.data / f"script-{self.names}"
        path.write_text(program)
        return [language, str(path)]

    def study(
        self,
        argv: Sequence[str],
        *,
        folder: Path | str | None = None,
        trials: int = 1,
        parallel: int = 1,
        attempts: int = 3,
        environment: Sequence[str] = (),
        checkpoints: Mapping[str, object] | None = None,
        resources: Mapping[str, object] | None = None,
        processes: int = 1,
        metric: str = "loss",
        design: Mapping[str, object] | None = None,
        space: Sequence[Mapping[str, object]] = (
            {"name": "rate", "type": "float", "low": 0.1, "high": 1.0, "role": "nuisance"},
        ),
        **template: object,
    ) -> int:
        """A running study of a job template of its own; its id.

        `design`: what else its document says; `template`: the template, such as `silence_seconds`.
        """
        self.names += 1
        name = f"study-{self.names}"
        project = self.api.post("/projects", {"name": name})["id"]
        template = {
            "name": name,
            "argv": list(argv),
            "folder": str(folder or self.data),
            "environment": list(environment),
            "resources": dict(resources or {}),
            "processes": processes,
            **template,
        }
        self.api.post(f"/projects/{project}/job-templates", template)
        document = {
            "name": name,
            "goal": "a test",
            "objective": {"metric": metric, "direction": "minimize", "evaluation": "best"},
            "sampler": {"name": "halton", "seed": 1, "options": {}},
            "budget": {"trials": trials, "parallel": parallel, "attempts": attempts},
            "space": list(space),
            "job": {"template": name},
            "checkpoints": checkpoints or {},
            **(design or {}),
        }
        self.studies.append(int(self.api.post(f"/projects/{project}/studies", document)["id"]))
        return self.studies[-1]

    def clear(self) -> None:
        """After a test: what it left must not take the next one's workers."""
        while self.studies:
            for trial in self.trials(self.studies.pop()):
                if trial["state"] not in ENDED:
                    self.api.post(f"/trials/{trial['id']}:cancel")

    def trials(self, study: int) -> list[dict[str, Any]]:
        items = self.api.get(f"/studies/{study}/trials", params={"sort": "number", "limit": 100})["items"]
        return [item.get("trial", item) for item in items]

    def trial(self, trial: int) -> dict[str, Any]:
        return dict(self.api.get(f"/trials/{trial}"))

    def attempts(self, trial: int) -> list[dict[str, Any]]:
        answer = self.api.get(f"/trials/{trial}/attempts")
        return list(answer["items"])

    def ended(
        self, study: int, trials: int = 1, within_seconds: float = PATIENCE_SECONDS
    ) -> list[dict[str, Any]]:
        """All trials of the study, once all have ended."""

        def all_ended() -> list[dict[str, Any]] | None:
            found = self.trials(study)
            return found if len(found) == trials and all(t["state"] in ENDED for t in found) else None

        return until(all_ended, f"{trials} trials of study {study} have ended", within_seconds)

    def running(self, study: int) -> dict[str, Any]:
        """The study's trial that runs, once there is one."""
        return until(
            lambda: next((t for t in self.trials(study) if t["state"] == "running"), None),
            f"a trial of study {study} runs",
        )

    def processes_of(self, trial: int, epoch: int | None = None) -> list[psutil.Process]:
        """The living processes of one or any attempt, by the environment that they were started with."""
        attempt = re.compile(
            rf"{re.escape(str(self.data))}/workers/[^/]+/jobs/{trial}-{epoch if epoch else '[0-9]+'}/job.json"
        )
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                marked = attempt.fullmatch(process.environ().get("TUNEBOOK_JOB", ""))
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def checkpoints(self, trial: int) -> list[dict[str, Any]]:
        """The newest first."""
        return list(self.api.get(f"/trials/{trial}/checkpoints")["items"])

    def log(self, trial: int) -> str:
        tail = self.api.get(f"/trials/{trial}/log")
        return str(tail["content"])

    def points(self, trial: int, metric: str = "loss") -> list[tuple[int, Any]]:
        curves = self.api.get(f"/trials/{trial}/metrics", params={"metric": metric, "max_points": 100_000})
        return [
            (step, value)
            for curve in curves["items"]
            for step, value in zip(curve["steps"], curve["values"], strict=True)
        ]

    def _wait_for(self, server: Process, api: Api) -> None:
        def answers() -> bool:
            assert server.popen.poll() is None, server.log.read_text()
            try:
                api.get("/me")
            except TunebookError:
                return False
            return True

        until(answers, f"{api.url} answers; see {server.log}")

    def _sees(self, name: str) -> bool:
        return any(row.get("worker", row)["name"] == name for row in self.api.pages("/workers"))


@contextlib.contextmanager
def tunebook(postgres: Postgres, data: Path, *, variant: str = "", **settings: str) -> Iterator[Live]:
    """Server and control worker on a database of their own; `settings` are environment variables."""
    name = f"live_{os.getpid()}_{next(_names)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template".encode())
    database_url = postgres.url(name)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    engine = connect(database_url)
    token = access.create_owner_token(engine, name="test")
    engine.dispose()
    api = Api(url, token)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(data),
        "LANG": "C.UTF-8",
        "TUNEBOOK_DATABASE_URL": database_url,
        "TUNEBOOK_BROKER_URL": database_url.replace("postgresql://", "tunebook+postgres://", 1),
        "TUNEBOOK_DATA": str(data),
        "TUNEBOOK_PORT": str(port),
        "TUNEBOOK_BEAT_SECONDS": str(BEAT_SECONDS),
        "TUNEBOOK_LEASE_SECONDS": str(LEASE_SECONDS),
        "TUNEBOOK_FENCE_SECONDS": str(FENCE_SECONDS),
        "TUNEBOOK_SWEEP_SECONDS": str(SWEEP_SECONDS),
        "TUNEBOOK_HINT_AGAIN_SECONDS": "2",
        **settings,
    }
    live = Live(url, api, token, database_url, data, environment, variant)
    try:
        live.start_server()
        live.start("control", "control")
        yield live
    finally:
        for process in reversed(live.processes):
            process.stop()
        api.close()


def free_port() -> int:
    """Below those that connections get when they go out: one of them could take it until it is used, or
    between two starts of whoever has it."""
    while True:
        port = 20_000 + secrets.randbelow(_first_of_connections() - 20_000)
        with socket.socket() as chosen, contextlib.suppress(OSError):
            chosen.bind(("127.0.0.1", port))
            return port


def _first_of_connections() -> int:
    with contextlib.suppress(OSError):
        return max(int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]), 21_000)
    return 32_768

"""`tunebook up` as its user starts it, and the means to kill any part of it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from tests.faults import train
from tests.live import BEAT_SECONDS, FENCE_SECONDS, LEASE_SECONDS, SWEEP_SECONDS, until
from tunebook.api import Api
from tunebook_server.embedded.postgres import Postgres

TIMINGS = {
    "TUNEBOOK_BEAT_SECONDS": str(BEAT_SECONDS),
    "TUNEBOOK_LEASE_SECONDS": str(LEASE_SECONDS),
    "TUNEBOOK_FENCE_SECONDS": str(FENCE_SECONDS),
    "TUNEBOOK_SWEEP_SECONDS": str(SWEEP_SECONDS),
    "TUNEBOOK_HINT_AGAIN_SECONDS": "2",
}
MARKS = {
    "server": "tunebook_server.commands import server",
    "control": "tunebook_server.commands import control",
    "worker": "tunebook_worker.commands import worker",
    "supervisor": "tunebook_worker.supervisor",
    "training": train.__file__,
    "postgres": "unix_socket_directories=",
}
"""What the argv of each part holds."""


class Up:
    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **TIMINGS, **environment}
        self.output = data.with_name(f"{data.name}.out")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> "Up":
        self.launch("--port", "0", "--slots", "2", *arguments)
        until(lambda: self.said("Ctrl-C stops") or self.ended, "up has started", 240)
        assert not self.ended, self.said()
        return self

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", "import sys, tunebook.cli; sys.exit(tunebook.cli.main())"]
        argv += ["up", "--data", str(self.data), *arguments]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                argv, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        return self.process

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def said(self, words: str = "") -> str:
        """What it printed so far, if `words` are among it."""
        text = self.output.read_text()
        return text if words in text else ""

    def api(self) -> Api:
        return Api((self.data / "address").read_text(), (self.data / "client.token").read_text())

    def ask(self, path: str, **parameters: object) -> dict[str, Any]:
        with contextlib.closing(self.api()) as api:
            return dict(api.get(path, params=parameters))

    def tree(self) -> list[psutil.Process]:
        assert self.process
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def parts(self, name: str) -> list[psutil.Process]:
        return [process for process in self.tree() if MARKS[name] in " ".join(command(process))]

    def part(self, name: str) -> psutil.Process | None:
        """The youngest process of this kind."""
        return max(self.parts(name), key=psutil.Process.create_time, default=None)

    def kill(self, name: str) -> psutil.Process:
        victim = until(lambda: self.part(name), f"there is a {name} to kill")
        victim.kill()
        return victim

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        if not self.ended:
            self.process.send_signal(how)
        return self.process.wait(30)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Straight from its database."""
        url = Postgres(self.data / "postgres").url()

        def connected() -> psycopg.Connection[dict[str, Any]] | None:
            with contextlib.suppress(psycopg.OperationalError):  # it was killed a moment ago
                return psycopg.connect(url, row_factory=dict_row)
            return None

        with until(connected, "Postgres is back") as connection:
            return connection.execute(query.encode()).fetchall()

    def states(self) -> list[str]:
        return [row["state"] for row in self.rows("SELECT state FROM trials ORDER BY number")]

    def study(
        self, record: Path, *, kills: Mapping[int, int] | None = None, trials: int, steps: int = 30
    ) -> int:
        """A study of `train.py`; trial n waits for the number of kills that `kills` says."""
        space = [
            {"name": "record", "type": "fixed", "value": str(record)},
            {"name": "steps", "type": "fixed", "value": steps},
            {"name": "rate", "type": "float", "low": 0.1, "high": 1.0},
            {"name": "kills", "type": "integer", "low": 0, "high": 1000},
        ]
        configurations = [
            {"record": str(record), "steps": steps, "rate": 0.5, "kills": (kills or {}).get(number, 0)}
            for number in range(trials)
        ]
        study = {
            "name": "faults",
            "goal": "every trial ends, once",
            "objective": {"metric": "loss", "direction": "minimize", "evaluation": "best"},
            "sampler": {"name": "manual", "seed": 0, "options": {"configurations": configurations}},
            "budget": {"trials": trials, "parallel": 2, "attempts": 50},
            "space": space,
            "job": {"template": "train"},
        }
        argv = ["python", train.__file__]
        template = {"name": "train", "argv": argv, "folder": str(record), "environment": []}
        with contextlib.closing(self.api()) as api:
            project = api.post("/projects", {"name": record.name})["id"]
            api.post(f"/projects/{project}/job-templates", template)
            return int(api.post(f"/projects/{project}/studies", study)["id"])


def command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []

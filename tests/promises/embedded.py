"""`tunebook up`, as the checks of other promises see what they check."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from tests.faults.conftest import ended_well
from tests.faults.tree import Up
from tests.live import until
from tests.promises.jobs import runs
from tunebook.api import Api
from tunebook.errors import TunebookError
from tunebook_server.embedded.postgres import Postgres


@dataclass(frozen=True)
class Part:
    pid: int
    name: str


class Embedded:
    """One process tree, from the owner's side."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.data = up.data
        self.environment = up.environment
        self.url = (up.data / "address").read_text()
        self.token = (up.data / "client.token").read_text()
        self.database_url = Postgres(up.data / "postgres").url()
        self.api = Api(self.url, self.token, timeout_seconds=60)

    def answers(self) -> bool:
        with contextlib.suppress(TunebookError):
            return bool(self.api.get("/me"))
        return False

    def process(self, name: str) -> psutil.Process:
        return until(lambda: self.up.part(name), f"there is a {name}")

    def worker(self) -> Part:
        (folder,) = (self.data / "workers").iterdir()
        return Part(self.process("worker").pid, folder.name)

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """While this lasts, nothing that dies is started again."""
        assert self.up.process
        os.kill(self.up.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.up.process.pid, signal.SIGCONT)

    def crash(self, number: int) -> None:
        """Postgres' immediate shutdown and kill -9 of its first process, in turn."""
        self._end("postgres", signal.SIGQUIT if number % 2 else signal.SIGKILL)

    def restart(self, gently: bool) -> None:
        """SIGTERM or kill -9 of the server; the tree starts a new one."""
        self._end("server", signal.SIGTERM if gently else signal.SIGKILL)
        said = f"The server ended ({'exit status 0' if gently else 'signal SIGKILL'})"
        until(lambda: self.up.said(said), f"up says: {said}")

    def configure(self, **settings: str) -> None:
        """Settings of its Postgres, at once and over restarts."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")

    def _end(self, name: str, how: signal.Signals) -> None:
        victim = self.process(name)
        victim.send_signal(how)
        until(lambda: not runs(victim), f"the {name} has ended")


@contextlib.contextmanager
def embedded(folder: Path, **settings: str) -> Iterator[Embedded]:
    """A `tunebook up` with two slots, in a folder of its own; nothing of it is left afterwards."""
    with ended_well(Up(folder / "data", **settings)) as up:
        live = Embedded(up.start())
        try:
            yield live
        finally:
            live.api.close()

"""A service of the stack as a process of this machine, on this host or in a worker host's namespace."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stack import programs
from stack.services import Service
from tunebook_server.embedded.child import Backoff, Child
from tunebook_server.embedded.kernel import Lifeline

LONGEST_PAUSE_SECONDS = 1.0
"""Before a service that died is started again: who tries faults kills it often."""
CHECK_SECONDS = 20.0


class Process:
    def __init__(
        self,
        service: Service,
        *,
        settings: Mapping[str, str],
        log: Path,
        lifeline: Lifeline,
        say: Callable[[str], None],
        prefix: Sequence[str] = (),
    ) -> None:
        self.service, self.log = service, log
        self.environment = programs.surroundings(service.environment, settings)
        self._prefix = list(prefix)
        self._child = Child(
            service.name,
            self.argv(service.command),
            environment=self.environment,
            log=log,
            lifeline=lifeline,
            say=say,
            backoff=Backoff(LONGEST_PAUSE_SECONDS),
        )

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self._child.process.pid if self._child.process else 0

    def argv(self, command: Sequence[str]) -> list[str]:
        return [*self._prefix, *programs.resolved(command)]

    def start(self) -> None:
        self._child.start()

    def watch(self) -> None:
        self._child.watch()

    def ask_to_end(self) -> None:
        self._child.ask_to_end()

    def end(self, timeout_seconds: float) -> None:
        self._child.end(timeout_seconds)

    def is_well(self) -> bool:
        """By the service's own check."""
        try:
            return self._run(self.service.check).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def run_once(self) -> "subprocess.CompletedProcess[str]":
        """A service that ends by itself; what it says is in its log too."""
        done = self._run(self.service.command, timeout_seconds=None)
        with self.log.open("a") as log:
            log.write(done.stdout)
        return done

    def _run(
        self, command: Sequence[str], timeout_seconds: float | None = CHECK_SECONDS
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.argv(command),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )

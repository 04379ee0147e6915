"""One process of the tree: started, watched, started again when it dies, ended in time."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from tunebook_server.embedded.kernel import Lifeline, die_with_parent
from tunebook_server.embedded.places import open_log

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
SETTLED_SECONDS = 60.0
"""A child that lived this long had nothing to do with the crash before."""


class Backoff:
    """How long to wait before the next start: 0.5 s, doubled with each crash in a row."""

    def __init__(self, longest_seconds: float = LONGEST_PAUSE_SECONDS) -> None:
        self.longest_seconds = longest_seconds
        self.crashes = 0
        self.due = 0.0

    def crashed(self, lived_seconds: float) -> float:
        self.crashes = 1 if lived_seconds >= SETTLED_SECONDS else self.crashes + 1
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (self.crashes - 1), self.longest_seconds)
        self.due = time.monotonic() + pause
        return pause


class Child:
    """Start it from the main thread: the kernel ends it with the thread that started it."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path | None,
        lifeline: Lifeline,
        say: Callable[[str], None],
        inherited: Sequence[int] = (),
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.environment = dict(environment)
        self.log = log
        self.lifeline = lifeline
        self.say = say
        self.inherited = tuple(inherited)
        self.process: subprocess.Popen[bytes] | None = None
        self._backoff = backoff or Backoff()
        self._started_at = 0.0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        with open_log(self.log) if self.log else nullcontext() as log:
            self.process = subprocess.Popen(
                self.argv,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C in the terminal is for us: we end the children in order
                pass_fds=self.inherited,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 (two system calls)
            )
        self.lifeline.guard(self.process.pid, signal.SIGKILL)
        self._started_at = time.monotonic()

    def watch(self) -> None:
        """Notices a death, says so, and starts it again when its pause is over."""
        if self.process is not None and self.process.poll() is not None:
            pause = self._backoff.crashed(time.monotonic() - self._started_at)
            self.say(
                f"The {self.name} ended ({ended(self.process.returncode)}); "
                f"starting it again in {pause:g} s. Its log: {self.log}"
            )
            self._clear()
        if self.process is None and time.monotonic() >= self._backoff.due:
            self.start()

    def ask_to_end(self) -> None:
        if self.process is not None and self.running:
            self.process.terminate()

    def end(self, timeout_seconds: float) -> None:
        """Wait for the end that was asked for; after `timeout_seconds` it and its group are killed."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.say(f"The {self.name} did not end in time and is killed.")
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._clear()

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) if self.log else ""

    def _clear(self) -> None:
        assert self.process is not None
        self.lifeline.release(self.process.pid, signal.SIGKILL)
        self.process = None


def ended(returncode: int) -> str:
    return f"signal {signal.Signals(-returncode).name}" if returncode < 0 else f"exit status {returncode}"

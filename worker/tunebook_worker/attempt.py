"""One attempt as the worker sees it: a supervisor process, and what to do when that dies."""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil

from tunebook_worker import orders
from tunebook_worker.log import note, warn
from tunebook_worker.orders import JobFolder, Order, Word
from tunebook_worker.outcome import exit_words
from tunebook_worker.supervisor import Status
from tunebook_worker.system_metrics import SETTING
from tunebook_worker.tree import Tree

SILENCE_MARGIN_SECONDS = 5.0
"""A supervisor says something twice a second; silent for longer than the fence and this, it hangs."""


class Attempt:
    """`run` returns when nothing of the attempt runs any more; `say` may be called from any thread."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._folder = JobFolder(Path(order.folder))
        self._tree = Tree(self._folder.job_file)
        self._silence_seconds = float(order.claim["fence_seconds"]) + SILENCE_MARGIN_SECONDS
        self._lock = threading.Lock()
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._words: list[Word] = []

    def run(self) -> None:
        status = self._supervise(self.order)
        for _ in range(2):
            if status in (Status.ACKNOWLEDGED, Status.KEPT):
                break
            # It died. Its job must not go on unwatched, and what it left is worth sending: with the reason,
            # the trial is queued again at once instead of after its lease.
            reason = f"The supervisor {exit_words(status)}."
            warn("the supervisor died", **self._where(), reason=reason)
            self._tree.kill()
            self._tree.close()
            status = self._supervise(replace(self.order, salvage=reason, salvage_status=status))
        note("the attempt ended", **self._where(), acknowledged=status == Status.ACKNOWLEDGED)

    def say(self, word: Word) -> None:
        """Heard by this supervisor, and by one that follows it."""
        with self._lock:
            self._words.append(word)
            self._tell(word)

    def _supervise(self, order: Order) -> int:
        supervisor = subprocess.Popen(
            # -P: a file of the current folder, named like a module of ours, must not be imported for it.
            [sys.executable, "-P", "-m", "tunebook_worker.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={name: value for name, value in os.environ.items() if _passed_on(name)},
            start_new_session=True,
            pass_fds=order.locks,
        )
        with supervisor:
            with self._lock:
                self._supervisor = supervisor
                self._note_started()
                self._write(order.line())
                for word in self._words:
                    self._tell(word)
            self._follow(supervisor)
            status = supervisor.wait()
            with self._lock:
                self._supervisor = None
        return status

    def _follow(self, supervisor: subprocess.Popen[bytes]) -> None:
        """Reads until the supervisor's end of the pipe closes, or it has been silent for too long."""
        assert supervisor.stdout is not None
        pipe, rest = supervisor.stdout.fileno(), b""
        while True:
            ready, _, _ = select.select([pipe], [], [], self._silence_seconds)
            if not ready:
                warn("the supervisor hangs", **self._where())
                supervisor.kill()
                return
            content = os.read(pipe, 4096)
            if not content:
                return
            *lines, rest = (rest + content).split(b"\n")
            for session in filter(None, map(orders.read_session, lines)):
                self._tree.session = session
                self._note_started()

    def _note_started(self) -> None:
        """For a worker that starts after this one was killed."""
        assert self._supervisor is not None
        started: dict[str, object] = {"session": self._tree.session, "supervisor": self._supervisor.pid}
        with contextlib.suppress(psutil.NoSuchProcess):
            started["supervisor_started"] = psutil.Process(self._supervisor.pid).create_time()
        self._folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._folder.started.with_suffix(".part")
        part.write_text(json.dumps(started))
        part.replace(self._folder.started)

    def _tell(self, word: Word) -> None:
        self._write(word.value.encode() + b"\n")

    def _write(self, line: bytes) -> None:
        if self._supervisor is None:
            return
        assert self._supervisor.stdin is not None
        pipe, rest = self._supervisor.stdin.fileno(), memoryview(line)
        with contextlib.suppress(OSError):  # it has ended: that shows on the other pipe
            while rest:
                rest = rest[os.write(pipe, rest) :]

    def _where(self) -> dict[str, object]:
        return {"trial_id": self.order.trial_id, "epoch": self.order.epoch}


def _passed_on(variable: str) -> bool:
    """Our own variables hold credentials; the supervisor needs but one of them."""
    return not variable.startswith("TUNEBOOK_") or variable == SETTING

"""What can happen while a supervisor watches its job, in one queue."""

import os
import queue
import select
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import FrameType

from tunebook_worker.clock import boot_seconds
from tunebook_worker.orders import ONE_WISH_SECONDS, Word


class Kind(StrEnum):
    EXITED = "exited"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    DRAINING = "draining"
    PREEMPTED = "preempted"
    STOPPING = "stopping"
    OVERDUE = "overdue"
    ORPHANED = "orphaned"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True)
class Event:
    kind: Kind
    detail: str = ""


class Events:
    """The queue, as the threads and signal handlers that fill it see it."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()  # safe inside signal handlers
        self._signalled_at: float | None = None

    def next(self, within_seconds: float) -> Event | None:
        try:
            return self._queue.get(timeout=max(within_seconds, 0.0))
        except queue.Empty:
            return None

    def watch(self, job_pid: int) -> None:
        """Blocks until the job has ended, but does not collect it: its number is not given away before."""
        os.waitid(os.P_PID, job_pid, os.WEXITED | os.WNOWAIT)
        self._queue.put(Event(Kind.EXITED))

    def cancelled(self) -> None:
        self._queue.put(Event(Kind.CANCELLED))

    def paused(self) -> None:
        self._queue.put(Event(Kind.PAUSED))

    def fenced(self, reason: str) -> None:
        self._queue.put(Event(Kind.FENCED, reason))

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """Somebody wants the host back from this very process: the first time gently, then at once."""
        now = boot_seconds()
        if self._signalled_at is None:
            self._signalled_at = now
            self._queue.put(Event(Kind.PREEMPTED, signal.Signals(number).name))
        elif now - self._signalled_at > ONE_WISH_SECONDS:
            self._queue.put(Event(Kind.STOPPING))

    def hear(self, said: Iterator[bytes], descriptor: int) -> None:
        """What the worker has said until here, without waiting: for a time without threads."""
        while select.select([descriptor], [], [], 0.0)[0]:
            line = next(said, None)
            self._put(line)
            if line is None:
                return

    def listen(self, said: Iterable[bytes]) -> None:
        """The worker's words, until its pipe ends."""
        for line in said:
            self._put(line)
        self._put(None)

    def _put(self, line: bytes | None) -> None:
        kinds = {
            Word.DRAIN.value: Kind.DRAINING,
            Word.PREEMPT.value: Kind.PREEMPTED,
            Word.STOP.value: Kind.STOPPING,
        }
        kind = Kind.ORPHANED if line is None else kinds.get(line.decode(errors="replace"))
        if kind is not None:
            self._queue.put(Event(kind))

"""The first process of a job of several: `python -m tunebook_worker.ranks PROCESSES GRACE_SECONDS COMMAND…`.

It starts the command once for each rank, told its place as torchrun tells it, and ends as they do: all of
them with 0, or like the first that failed, after it has ended the others. Its stdout is that of rank 0 alone.
"""

import contextlib
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import IO

from tunebook_worker.kernel import bound_to

LINGER_SECONDS = 60.0
"""How long the others may go on when rank 0 has ended well: it is the one that reports."""
OUTPUT_SECONDS = 2.0
"""For what is left in the pipes when all ranks have ended; what ranks leave running may hold them open."""
READ_BYTES = 64 << 10
NOT_STARTED = 126


class Streams:
    """What ranks print, but for the stdout of rank 0, goes to our stderr; lines of the others name them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._last: dict[int, bytes] = {}

    def follow(self, rank: int, pipe: IO[bytes] | None, *, errors: bool) -> None:
        if pipe is not None:
            copying = threading.Thread(target=self._copy, args=(rank, pipe, errors), daemon=True)
            copying.start()
            self._threads.append(copying)

    def close(self, within_seconds: float) -> None:
        until = time.monotonic() + within_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def last_words(self, rank: int) -> str:
        lines = [
            line for line in self._last.get(rank, b"").decode(errors="replace").splitlines() if line.strip()
        ]
        return lines[-1] if lines else ""

    def say(self, content: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):  # nobody reads any more: that shows elsewhere
            while content:
                content = content[os.write(2, content) :]

    def _copy(self, rank: int, pipe: IO[bytes], errors: bool) -> None:
        mark, rest = b"[rank %d] " % rank if rank else b"", b""
        while content := os.read(pipe.fileno(), READ_BYTES):
            if errors:
                self._last[rank] = (self._last.get(rank, b"") + content)[-4096:]
            if not mark:
                self.say(content)
                continue
            *lines, rest = (rest + content).split(b"\n")
            if len(rest) >= READ_BYTES:
                lines, rest = [*lines, rest], b""
            self.say(b"".join(mark + line + b"\n" for line in lines))
        if rest:
            self.say(mark + rest + b"\n")


class Ranks:
    def __init__(self, argv: Sequence[bytes], count: int, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._ended: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._kill_at: float | None = None
        self._linger_until: float | None = None
        self._late = False
        """Ranks that outlived rank 0 are being ended: how they end says nothing."""
        self._asked = False
        self.streams = Streams()
        port = free_port()
        # All are started before there is a thread: the code between fork and exec could wait for its lock.
        self._ranks: list[subprocess.Popen[bytes]] = []
        for rank in range(count):
            self._ranks.append(_start(argv, place(rank, count, port), is_first=rank == 0))

    def run(self) -> int:
        """The first failure as subprocess gives it, 0 when there is none."""
        signal.signal(signal.SIGTERM, self._asked_to_end)
        for rank, process in enumerate(self._ranks):
            self.streams.follow(rank, process.stdout, errors=False)
            self.streams.follow(rank, process.stderr, errors=True)
            threading.Thread(target=self._watch, args=(rank, process), daemon=True).start()
        failed: tuple[int, int] | None = None
        left = len(self._ranks)
        while left:
            ended = self._next()
            if ended is None:
                continue
            left -= 1
            if ended == (0, 0):
                self._linger_until = time.monotonic() + LINGER_SECONDS
            elif ended[1] != 0 and failed is None and not self._late:
                failed = ended
                self._end_others()
        self.streams.close(OUTPUT_SECONDS)
        if failed is None:
            return 0
        rank, status = failed
        said = [f"rank {rank}", self.streams.last_words(rank)]
        self.streams.say(": ".join(filter(None, said)).encode(errors="replace") + b"\n")
        return status

    def _watch(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        self._ended.put((rank, process.wait()))

    def _next(self) -> tuple[int, int] | None:
        """A rank that has ended, and how; None when time was up for something, or nothing happened."""
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._signal(signal.SIGKILL)
            return self._ended.get()
        if self._kill_at is None and self._linger_until is not None and now >= self._linger_until:
            self.streams.say(b"[tunebook: rank 0 has ended well; what is left of the others is ended]\n")
            self._late = True
            self._end_others()
        until = self._linger_until if self._kill_at is None else self._kill_at
        try:
            return self._ended.get(timeout=3600.0 if until is None else max(0.0, until - now))
        except queue.Empty:
            return None

    def _end_others(self) -> None:
        """SIGTERM for whoever still runs and has not heard one, SIGKILL after the grace."""
        self._kill_at = time.monotonic() + self._grace_seconds
        if not self._asked:
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._ranks:
            process.send_signal(number)  # does nothing to one that was waited for

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        """By the supervisor, which counts the grace itself."""
        self._asked = True
        self._signal(signal.SIGTERM)


def place(rank: int, count: int, port: int) -> dict[str, str]:
    """What torchrun tells each process of one host."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def _start(argv: Sequence[bytes], told: dict[str, str], *, is_first: bool) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(argv),
        env={**os.environ, **told},
        stdin=subprocess.DEVNULL,
        stdout=None if is_first else subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=bound_to(os.getpid()),  # noqa: PLW1509 — no threads yet
        close_fds=False,  # the locks of the job's GPUs; what else is open here closes itself
    )


def _end_like(status: int) -> int:
    """The exit status; does not return where a signal is to be seen."""
    if status >= 0:
        return status
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
    return NOT_STARTED


def main() -> int:
    count, grace_seconds, *argv = sys.argv[1:]
    try:
        ranks = Ranks([os.fsencode(word) for word in argv], int(count), float(grace_seconds))
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"the job's processes could not be started: {error}\n")
        return NOT_STARTED
    return _end_like(ranks.run())


if __name__ == "__main__":
    sys.exit(main())

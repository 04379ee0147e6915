"""A process that outlives a supervisor on a node, and ends what that left running.

An engine that kills the supervisor, or its process group, may leave the training's own children behind, for
they can have sessions of their own. Ray does; Slurm and containers end them all.
"""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from tunebook_worker.tree import Tree

ARMED, AT_EASE = b"!", b"."


@dataclass(frozen=True, slots=True)
class Guardian:
    _pipe: int | None

    def arm(self) -> None:
        """From now on, the supervisor's death ends the job."""
        self._say(ARMED)

    def dismiss(self) -> None:
        """The supervisor ends in order: nothing is left."""
        self._say(AT_EASE)

    def _say(self, word: bytes) -> None:
        if self._pipe is None:
            return
        with contextlib.suppress(OSError):  # it was killed, and the supervisor does without
            os.write(self._pipe, word)


def start(job_file: Path) -> Guardian:
    """Call it before there are threads, and before orphans are adopted: it must be nobody's descendant, for
    those of a supervisor are its job. The first process of a container has none: all others end with it, and
    orphans become its children."""
    if os.getpid() == 1:
        return Guardian(None)
    hearing, saying = os.pipe()  # neither outlives an exec
    child = os.fork()
    if child == 0:
        try:
            os.close(saying)
            os.setsid()
            if os.fork() == 0:
                _watch(hearing, job_file)
        finally:
            os._exit(0)
    os.close(hearing)
    os.waitpid(child, 0)
    return Guardian(saying)


def _watch(hearing: int, job_file: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    said = b""
    while heard := os.read(hearing, 100):
        said = heard
    if said.endswith(ARMED):
        tree = Tree(job_file)
        tree.kill()
        tree.close()

"""What worker and supervisor say to each other, over two pipes.

Worker → supervisor (stdin): a line with the order, then a word a line; the pipe's end means the worker died.
Supervisor → worker (stdout): a line twice a second while all is well; `session N` names the job's session.
The order goes through a pipe because argv and environment can be read by others of the same user.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

ALIVE = b"alive\n"


class Word(StrEnum):
    DRAIN = "drain"
    """End the job gently, then give the trial back."""
    PREEMPT = "preempt"
    """The same, for the host is wanted back."""
    STOP = "stop"
    """The same, at once."""


ONE_WISH_SECONDS = 0.5
"""Ctrl-C in a terminal, and what a parent sends that saw it too, are one wish."""


@dataclass(frozen=True, slots=True)
class Order:
    claim: dict[str, Any]
    """The answer to :claim, as the server sent it."""
    url: str
    folder: str
    """This attempt's own folder (`JobFolder`)."""
    checkpoint_folder: str
    """Where the job writes, on this host."""
    claimed_at: float
    """`boot_seconds()` before the claim was sent: the server's lease cannot have begun earlier."""
    grace_seconds: float
    gpus: list[str] | None = None
    """The devices that are this trial's alone; None on a host without any."""
    cpus: int = 0
    """Cores that were asked for; 0: an undivided share of the host."""
    preempt_signals: list[str] = field(default_factory=list)
    """Besides SIGTERM, by which the host is taken back from the supervisor."""
    store: str = ""
    """Where checkpoints are uploaded to; empty: they stay in their folder."""
    upload_seconds: float = 600.0
    """How long the outcome waits for them."""
    locks: list[int] = field(default_factory=list)
    """Descriptors that hold the locks of these devices: the supervisor and the job inherit them."""
    cores: list[int] = field(default_factory=list)
    """Those that the job is bound to; empty for all."""
    salvage: str = ""
    """Not empty: an earlier supervisor of this attempt died, so. Deliver what it left; start nothing."""
    salvage_status: int | None = None
    """That supervisor's exit status."""
    preempted: bool = False
    """With `salvage`: the cluster was the reason, so give the trial back uncharged."""
    engine: str = ""
    """The cluster that runs the attempt; empty on the worker's own host."""
    engine_job: str = ""
    """The job's name there."""

    @property
    def trial_id(self) -> int:
        return int(self.claim["trial"]["id"])

    @property
    def epoch(self) -> int:
        return int(self.claim["epoch"])

    @property
    def processes(self) -> int:
        """How many of its command the template starts."""
        return int((self.claim["template"] or {}).get("processes", 1))

    @property
    def threads(self) -> int:
        """Cores for each of them; 0 where none were asked for."""
        return max(1, self.cpus // self.processes) if self.cpus else 0

    @property
    def name(self) -> str:
        """Unlike that of any other attempt."""
        return f"{self.trial_id}-{self.epoch}"

    @property
    def devices(self) -> str | None:
        """As CUDA_VISIBLE_DEVICES."""
        return None if self.gpus is None else ",".join(self.gpus)

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def lines(descriptor: int) -> Iterator[bytes]:
    """Whole lines, without their ends, until the pipe's end.

    Not a buffered file: a thread that waits in one brings the interpreter down when that ends.
    """
    rest = b""
    while content := os.read(descriptor, 65536):
        *whole, rest = (rest + content).split(b"\n")
        yield from whole


def receive(said: Iterator[bytes]) -> Order:
    """The first line; raises EOFError when the worker ended before it had said everything."""
    line = next(said, None)
    if line is None:
        raise EOFError("the order is incomplete")
    return Order(**json.loads(line))


def session_line(session: int) -> bytes:
    return b"session %d\n" % session


def read_session(line: bytes) -> int | None:
    word, _, number = line.strip().partition(b" ")
    return int(number) if word == b"session" and number.isdigit() else None


@dataclass(frozen=True, slots=True)
class Resume:
    """The checkpoint that a job goes on from, as a local path; without one it starts over. `told`: what the
    server hears where that is not the checkpoint that came with the claim."""

    step: int | None = None
    path: str | None = None
    told: dict[str, Any] | None = None

    def for_job(self) -> dict[str, Any] | None:
        return None if self.path is None else {"step": self.step, "uri": self.path}


@dataclass(frozen=True, slots=True)
class JobFolder:
    """DATA/workers/<name>/jobs/<trial>-<epoch>: what one attempt leaves on disk until it is acknowledged."""

    path: Path

    @property
    def job_file(self) -> Path:
        """TUNEBOOK_JOB; its path, in a process's environment, is also how we know a job's processes again."""
        return self.path / "job.json"

    @property
    def events(self) -> Path:
        """The spool that the SDK writes inside the job."""
        return self.path / "events"

    @property
    def points(self) -> Path:
        """The spool of JSON lines found on stdout."""
        return self.path / "points"

    @property
    def log(self) -> Path:
        """The spool of stdout and stderr."""
        return self.path / "log"

    @property
    def checkpoints(self) -> Path:
        """Notes of what the job has saved and the server does not know of yet."""
        return self.path / "checkpoints"

    @property
    def resume(self) -> Path:
        """The local copy of the checkpoint that the job goes on from."""
        return self.path / "resume"

    @property
    def started(self) -> Path:
        """Who runs here, for the next worker after a crash."""
        return self.path / "started.json"

    @property
    def cgroup(self) -> Path:
        """Says where the job's control group is; not there without one."""
        return self.path / "cgroup"

    @property
    def order(self) -> Path:
        """The order of an attempt that an engine runs; gone with the folder when all is acknowledged."""
        return self.path / "order.json"

    @property
    def submitted(self) -> Path:
        """There once the engine has taken the job."""
        return self.path / "submitted"

    @property
    def begun(self) -> Path:
        """There once a supervisor has begun on a node, and locked while it runs."""
        return self.path / "begun"

    @property
    def word(self) -> Path:
        """The worker's last word to a supervisor on a node."""
        return self.path / "word"

    @property
    def engine_log(self) -> Path:
        """What the engine's job printed: its supervisor's complaints."""
        return self.path / "supervisor.log"

    def write_order(self, order: Order) -> None:
        """Whole or not at all, and private: it carries the trial's token."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self.order, order.line())

    def read_order(self) -> Order | None:
        """None when the attempt has ended."""
        try:
            return Order(**json.loads(self.order.read_bytes()))
        except FileNotFoundError:
            return None

    def write_word(self, word: Word) -> None:
        with contextlib.suppress(OSError):  # it has ended; or the disk is full, and a signal must do
            self._write(self.word, word.value.encode())

    def read_word(self) -> bytes:
        """Empty while there is none."""
        try:
            return self.word.read_bytes()
        except FileNotFoundError:
            return b""

    def is_held(self) -> bool:
        """A supervisor on a node has the lock. One whose node has died may seem to, for some file systems."""
        try:
            with self.begun.open("rb+") as mark:
                fcntl.lockf(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _write(self, path: Path, content: bytes) -> None:
        part = path.with_suffix(".part")
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "wb") as output:
            output.write(content)
            output.flush()
            os.fsync(file)
        part.replace(path)

    def prepare(self, order: Order) -> None:
        """Creates the folders, private to this user."""
        for folder in (self.path, self.events, Path(order.checkpoint_folder)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def describe(self, order: Order, resume: Resume) -> None:
        """Writes the job file."""
        self.job_file.touch(mode=0o600)
        self.job_file.write_text(json.dumps(_job(order, self, resume)))


def _job(order: Order, folder: JobFolder, resume: Resume) -> dict[str, Any]:
    """What `tunebook.current_trial()` reads; nothing in it is secret."""
    claim, trial = order.claim, order.claim["trial"]
    return {
        "trial_id": order.trial_id,
        "number": trial["number"],
        "epoch": order.epoch,
        "study": claim["study"]["name"],
        "project": claim["project"]["name"],
        "parameters": trial["parameters"],
        "seed": trial["seed"],
        "objective": claim.get("objective"),
        "checkpoint_folder": order.checkpoint_folder,
        "resume": resume.for_job(),
        "spool": str(folder.events),
        "socket": None,
    }

"""What worker and supervisor say to each other, over two pipes.

Worker → supervisor (stdin): a line with the order, then a word a line; the pipe's end means the worker died.
Supervisor → worker (stdout): a line twice a second while all is well; `session N` names the job's session.
The order goes through a pipe because argv and environment can be read by others of the same user.
"""

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
    claimed_at: float
    """`boot_seconds()` before the claim was sent: the server's lease cannot have begun earlier."""
    grace_seconds: float
    gpus: list[str] | None = None
    """The devices that are this trial's alone; None on a host without any."""
    cpus: int = 0
    """Cores that were asked for; 0: an undivided share of the host."""
    preempt_signals: list[str] = field(default_factory=list)
    """Besides SIGTERM, by which the host is taken back from the supervisor."""
    salvage: str = ""
    """Not empty: an earlier supervisor of this attempt died, so. Deliver what it left; start nothing."""
    salvage_status: int | None = None
    """That supervisor's exit status."""

    @property
    def trial_id(self) -> int:
        return int(self.claim["trial"]["id"])

    @property
    def epoch(self) -> int:
        return int(self.claim["epoch"])

    @property
    def name(self) -> str:
        """Unlike that of any other attempt."""
        return f"{self.trial_id}-{self.epoch}"

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
    def started(self) -> Path:
        """Who runs here, for the next worker after a crash."""
        return self.path / "started.json"

    @property
    def cgroup(self) -> Path:
        """Says where the job's control group is; not there without one."""
        return self.path / "cgroup"

    def prepare(self, order: Order) -> None:
        """Creates everything, private to this user."""
        for folder in (self.path, self.events, Path(order.checkpoint_folder)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.job_file.touch(mode=0o600)
        self.job_file.write_text(json.dumps(_job(order, self)))


def _job(order: Order, folder: JobFolder) -> dict[str, Any]:
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
        "resume": _resume(claim),
        "spool": str(folder.events),
        "socket": None,
    }


def _resume(claim: dict[str, Any]) -> dict[str, Any] | None:
    """None when the checkpoint is not on this host: the job starts over, and its points replace the old."""
    resume = claim.get("resume")
    if not resume or not Path(resume["uri"]).exists():
        return None
    return {"step": resume["step"], "uri": resume["uri"]}

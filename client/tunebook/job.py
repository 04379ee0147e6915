"""Inside a training job that a Tunebook worker started: `trial = tunebook.current_trial()`."""

import atexit
import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Never

from tunebook.errors import NotLaunched
from tunebook.spool import SpoolHeld, SpoolWriter
from tunebook.trial import Trial, checked_reason, log

JOB_VARIABLE = "TUNEBOOK_JOB"
"""Names the file in which the supervisor describes the trial."""
RANK_VARIABLES = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
"""torchrun, Slurm and Open MPI; the first that is set counts."""
COUNT_VARIABLES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
"""In the same order: how many ranks there are."""
INFEASIBLE_EXIT_CODE = 87
"""A job that ends with this status says: these values cannot work (diverged, out of memory)."""

_lock = threading.Lock()
_current: "LaunchedTrial | None" = None


class LaunchedTrial(Trial):
    """The trial of this process; the supervisor beside it sends what it spools.

    In a job of several processes each has it, and rank 0 alone speaks: what others report or register is
    neither looked at nor kept, so that the same lines can run in all of them.
    """

    def __init__(self, job: Mapping[str, Any], spool: SpoolWriter | None) -> None:
        super().__init__(job, spool)
        self.rank = rank()
        """This process's place among those of the trial, from 0."""
        self._is_silent = self.rank > 0
        self.processes = processes()
        self.data_seed = rank_seed(self.seed, self.rank)
        """Unlike `seed`, which is for initialisation and equal in all ranks, another one in each: for the
        order and augmentation of a rank's own data. Attempts at one trial do not differ in it."""
        self.checkpoint_folder = Path(job["checkpoint_folder"])
        """Exists; belongs to this attempt alone."""
        self._stopping = threading.Event()
        self._watches = False

    @property
    def should_stop(self) -> bool:
        """True once the worker has asked the job to end (SIGTERM); then a grace period remains.

        The first look takes over SIGTERM, where nobody else has: a job that never looks ends at once.
        """
        if not self._watches and threading.current_thread() is threading.main_thread():
            self._watches = True
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._stop)
        return self._stopping.is_set()

    def infeasible(self, reason: str) -> Never:
        """Ends the process, and its other ranks, and marks the trial infeasible: a result, not an error.

        Another rank than 0 cannot say why, but ends the trial all the same.
        """
        self._append({"type": "infeasible", "reason": checked_reason(reason)}, last=True)
        if self._spool is not None:
            self._spool.close()
        raise SystemExit(INFEASIBLE_EXIT_CODE)

    def _stop(self, signal_number: int, frame: FrameType | None) -> None:
        self._stopping.set()


def launched() -> bool:
    """Whether a Tunebook worker started this process."""
    return JOB_VARIABLE in os.environ


def current_trial() -> LaunchedTrial:
    """The trial that this process trains; the same object each time. Raises NotLaunched elsewhere.

    In a job of several processes every rank gets the trial, but only rank 0 reports.
    """
    global _current  # noqa: PLW0603  one process trains one trial
    with _lock:
        if _current is None:
            _current = _open()
        return _current


def _open() -> LaunchedTrial:
    if not launched():
        raise NotLaunched(
            "No Tunebook worker started this process. Check with tunebook.launched(), or ask for a trial: "
            "tunebook.Client().study(…).ask()"
        )
    job = json.loads(Path(os.environ[JOB_VARIABLE]).read_text(encoding="utf-8"))
    spool = _open_spool(Path(job["spool"])) if rank() == 0 else None
    if spool is not None:
        atexit.register(spool.close)
    return LaunchedTrial(job, spool)


def _open_spool(folder: Path) -> SpoolWriter | None:
    """None, with a warning, where there is no writing: tracking must not end training."""
    try:
        return SpoolWriter(folder)
    except SpoolHeld:
        log.warning("Another process of this job reports already: this one stays silent.")
    except OSError as error:
        log.warning("Metrics cannot be recorded in %s: %s", folder, error)
    return None


def rank() -> int:
    """This process's place in a job of several processes; 0 where it is alone."""
    return _first_number(RANK_VARIABLES, 0)


def processes() -> int:
    """How many processes train the trial together."""
    return max(1, _first_number(COUNT_VARIABLES, 1))


def rank_seed(seed: int, rank: int) -> int:
    """31 bits of the SHA-256 of "seed/rank": its first four bytes, little-endian, without the highest bit."""
    digest = hashlib.sha256(f"{seed}/{rank}".encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFF_FFFF


def _first_number(variables: Iterable[str], default: int) -> int:
    return next((int(v) for name in variables if (v := os.environ.get(name, "")).isdigit()), default)

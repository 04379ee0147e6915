"""Wrong clocks: libfaketime gives a process, and all that it starts, a wall clock of its own.

Only the wall clock: those that count from boot go on as they do on a host whose time is set. Three habits of
libfaketime 0.9.10 are faults of its own and kept out, for they make a Python that is well look hung:
- it reckons a wait for a condition on the monotonic clock by the wall clock: a thread that wants the
  interpreter's lock wakes at once, always, or never asks for it (FAKETIME_FORCE_MONOTONIC_FIX=0);
- it reckons `time.sleep`, a sleep until a point of the monotonic clock, so too: EINVAL, or an hour;
- a process that was killed leaves shared memory that ends the next one of the same number.
"""

import random
import threading
from pathlib import Path
from types import TracebackType

import psutil
import pytest

PLACES = ("usr/lib/*/faketime", "usr/lib64/faketime", "usr/lib/faketime", "usr/local/lib/faketime")
LIBRARY = next(
    (str(file) for place in PLACES for file in sorted(Path("/").glob(f"{place}/libfaketimeMT.so.1"))), ""
)
needs = pytest.mark.skipif(not LIBRARY, reason="libfaketime is not installed")
SLEEP = """
import select, time
def sleep(seconds):
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select((), (), (), seconds)
time.sleep = sleep
"""


class Clocks:
    """Environments of processes whose wall clock is wrong."""

    def __init__(self, folder: Path) -> None:
        clear()
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(SLEEP)
        self._same = {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",  # else setting the clock would change when each file was written
            "PYTHONPATH": str(folder),
        }

    def wrong_by(self, seconds: int) -> dict[str, str]:
        """Ahead of the true time, or behind it."""
        return {**self._same, "FAKETIME": f"{seconds:+d}"}

    def following(self, file: Path) -> dict[str, str]:
        """As wrong as the file says at each moment."""
        return {**self._same, "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}


class Jumps(threading.Thread):
    """Sets the clock of all that follow `file` anew, again and again, by up to `most_seconds` either way."""

    def __init__(self, file: Path, chance: random.Random, *, most_seconds: int, every_seconds: float) -> None:
        super().__init__(daemon=True)
        self._file, self._chance = file, random.Random(chance.random())
        self._most_seconds, self._every_seconds = most_seconds, every_seconds
        self._ended = threading.Event()
        self.count = 0
        self._jump()

    def run(self) -> None:
        while not self._ended.wait(self._every_seconds):
            self._jump()

    def _jump(self) -> None:
        """Whole at once: libfaketime ends a process that reads half a line."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{self._chance.randint(-self._most_seconds, self._most_seconds):+d}\n")
        part.replace(self._file)
        self.count += 1

    def __enter__(self) -> "Jumps":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.join()


def clear() -> None:
    """Removes what libfaketime keeps of processes that have died without doing so."""
    for file in Path("/dev/shm").glob("faketime_shm_*"):
        pid = file.name.rpartition("_")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            file.unlink(missing_ok=True)
            file.with_name(f"sem.faketime_sem_{pid}").unlink(missing_ok=True)

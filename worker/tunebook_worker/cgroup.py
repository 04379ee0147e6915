"""A control group for each job: what runs in it is found and ended, whatever it forked, ignores or forgot.

Made below this process's own group where that may be written (root, or a delegated subtree): of version 2,
which kills a whole group at once, else of version 1. Elsewhere there is none, and the other marks that `Tree`
knows remain.
"""

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

FREEZE_SECONDS = 1.0
POLL_SECONDS = 0.01
VERSION_1 = ("freezer", "pids", "name=systemd")
"""Hierarchies of version 1 that hold any process without limiting it; only the first can be stopped."""


class Cgroup:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.door = folder / "cgroup.procs"
        """Who writes "0" here is inside from then on, and so is all that it starts."""

    def pids(self) -> set[int]:
        """Of all processes inside, in groups of its own too."""
        found: set[int] = set()
        for folder in self._folders():
            with contextlib.suppress(OSError):
                found |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
        return found - {os.getpid()}

    def kill(self) -> None:
        """SIGKILL for all at once, so that none can fork away; without the means, each by its number."""
        try:
            (self.folder / "cgroup.kill").write_text("1")
        except OSError:
            with self._frozen():
                for pid in self.pids():
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """Once it is empty; one that is not stays."""
        for folder in self._folders():
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _folders(self) -> list[Path]:
        """The deepest first."""
        return [Path(path) for path, _, _ in os.walk(self.folder, topdown=False)]

    @contextlib.contextmanager
    def _frozen(self) -> Iterator[None]:
        """As far as this hierarchy can; a signal is taken up when it thaws."""
        state = self.folder / "freezer.state"
        if not state.exists():
            yield
            return
        try:
            state.write_text("FROZEN")
            until = time.monotonic() + FREEZE_SECONDS
            while state.read_text().strip() != "FROZEN" and time.monotonic() < until:
                time.sleep(POLL_SECONDS)
            yield
        finally:
            state.write_text("THAWED")


def name_of(job_file: Path) -> str:
    """Unlike any other attempt's, also of another worker on this host."""
    return "tunebook-" + hashlib.sha256(os.fsencode(job_file)).hexdigest()[:24]


def create(job_file: Path, note: Path) -> Cgroup | None:
    """None where this process may not make one. `note` says, to whoever clears up after it, where it is."""
    for parent in parents(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()):
        made = Cgroup(parent / name_of(job_file))
        with contextlib.suppress(OSError):
            made.folder.mkdir(exist_ok=True)
            if os.access(made.door, os.W_OK):
                note.write_text(str(made.folder))
                return made
            made.remove()
    return None


def noted(job_file: Path, note: Path) -> Cgroup | None:
    """The group that was made for this job, if it is there. A note that names another is not believed."""
    try:
        folder = Path(note.read_text())
    except (OSError, UnicodeDecodeError):
        return None
    return Cgroup(folder) if folder.name == name_of(job_file) and folder.is_dir() else None


def parents(mountinfo: str, own: str) -> list[Path]:
    """Where this process's own groups are mounted, the best hierarchy first (proc(5), cgroups(7))."""
    mounts = dict(_mounts(mountinfo))
    found = []
    places = {controllers: path for _, controllers, path in (line.split(":", 2) for line in own.splitlines())}
    for hierarchy in ("", *VERSION_1):
        place = next((p for names, p in places.items() if hierarchy in names.split(",")), None)
        if place is None or hierarchy not in mounts:
            continue
        root, mounted_at = mounts[hierarchy]
        inside = Path(place).relative_to(root) if Path(place).is_relative_to(root) else Path()
        found.append(mounted_at / inside)
    return found


def _mounts(mountinfo: str) -> Iterator[tuple[str, tuple[str, Path]]]:
    """By controller, and "" for version 2: what part of the hierarchy is mounted, and where."""
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        place = (fields.split()[3], Path(fields.split()[4]))
        if kind == "cgroup2":
            yield "", place
        elif kind == "cgroup":
            yield from ((option, place) for option in options.split(","))

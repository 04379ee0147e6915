"""When a job is ended though nobody asked for it: it has been silent, or has run, for too long."""

from collections.abc import Mapping
from pathlib import Path

from tunebook.spool.journal import segments
from tunebook_worker.clock import boot_seconds
from tunebook_worker.orders import JobFolder


class Deadlines:
    """The job template's `silence_seconds` and `limit_seconds`, counted from here on; None: no such deadline.

    A heartbeat is the supervisor's own, so it says nothing of the job. What the job reports, registers or
    prints is in its spools before anybody else sees it: one whose spools do not grow is silent.
    """

    def __init__(self, folder: JobFolder, template: Mapping[str, object]) -> None:
        self._spools = (folder.events, folder.points, folder.log)
        self._silence_seconds = template.get("silence_seconds")
        self._limit_seconds = template.get("limit_seconds")
        self._begun_at = self._heard_at = boot_seconds()
        self._said = self._extent()

    def passed(self) -> str:
        """Why the job has to end; empty while it need not."""
        now = boot_seconds()
        if isinstance(self._limit_seconds, int) and now - self._begun_at >= self._limit_seconds:
            return f"The job ran for {self._limit_seconds} s, its template's limit_seconds, and was ended."
        if not isinstance(self._silence_seconds, int):
            return ""
        said = self._extent()
        if said != self._said:
            self._said, self._heard_at = said, now
        if now - self._heard_at < self._silence_seconds:
            return ""
        what = "No report, checkpoint or output of the job"
        return f"{what} for {self._silence_seconds} s, its template's silence_seconds; it was ended."

    def _extent(self) -> list[tuple[str, int, int]]:
        """How far each spool was written, not read, and when a full one last dropped a record."""
        last = [found[-1] for spool in self._spools if (found := segments(spool))]
        return [_mark(path) for path in (*last, *(spool / "counts.json" for spool in self._spools))]


def _mark(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return path.name, 0, 0
    return path.name, found.st_size, found.st_mtime_ns

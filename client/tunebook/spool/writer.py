"""Appends records without ever waiting for a disk or raising for one."""

import contextlib
import errno
import math
import os
import threading
import time
from pathlib import Path

from tunebook import forks
from tunebook.spool.hold import Hold
from tunebook.spool.journal import (
    NO_SPACE,
    Record,
    encode,
    end_of,
    give_way,
    hold_reserve,
    read_note,
    segment_path,
    segments,
    write_note,
)

_RESERVE_SHARE = 10
"""One part in ten of the size cap is kept for important records."""
DISK_RESERVE_BYTES = 1 << 20
"""At most so much of that is held on the disk itself, against others who fill it: some 10,000 records."""

MEASURE_SECONDS = 0.2
"""In a full spool, how often to look whether the reader has freed segments."""


class SpoolWriter:
    """The one writer of a spool; it never raises for a full or failing disk, but counts what it had to drop.

    A record is in the kernel's hands when `append` returns (it survives a killed process) and on disk about a
    second later (it survives a power cut). `limit_bytes` caps what waits to be read; the last tenth of it is
    kept for records marked `important`, and up to 1 MiB of that on the disk, should the disk be full first.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        limit_bytes: int = 256 << 20,
        segment_bytes: int = 1 << 20,
        sync_seconds: float = 1.0,
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._limit_bytes, self._segment_bytes = limit_bytes, min(segment_bytes, limit_bytes // 16)
        self._lock = threading.Lock()
        self.hold = Hold(self.folder)
        self._pid = os.getpid()
        self.written = end_of(self.folder)
        """Records ever written here, which is also the next record's index."""
        self.dropped = read_note(self.folder / "counts.json").get("dropped", 0)
        """Points (and other records) that the size cap or the disk kept out."""
        self.trouble = ""
        """Why the last record that was not stored was not, as the rest of a sentence about the spool."""
        self._reserve_bytes = min(limit_bytes // _RESERVE_SHARE, DISK_RESERVE_BYTES)
        self._disk_full = not hold_reserve(self.folder, self._reserve_bytes)
        self._looked_at = time.monotonic()
        self._retired: list[int] = []
        self._file, self._segment_used = self._open_segment()
        self._used_bytes, self._measured_at = self._measure(), time.monotonic()
        self._sync_seconds = sync_seconds
        self._dirty, self._closing = threading.Event(), threading.Event()
        self._syncing = threading.Thread(target=self._sync_regularly, name="tunebook-spool", daemon=True)
        self._syncing.start()
        forks.watch(self)

    @property
    def inherited(self) -> bool:
        """This process is a fork of the one that writes: the lock and the index belong to that one."""
        return os.getpid() != self._pid

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def renew(self) -> None:
        """A fork does not write."""
        self._close_file()

    def append(
        self,
        record: Record,
        *,
        important: bool = False,
        last: bool = False,
        instead: Record | None = None,
    ) -> bool:
        """True when the record is stored whole; what is not stored is counted in `dropped`.

        `instead`: what the reserve is for when the record does not fit. `last`: the one that ends a trial,
        for which there is no cap. Raises ValueError for a record longer than MAX_RECORD_BYTES.
        """
        if self.inherited:
            return False
        with self._lock:
            stored = self._store(record, self._limit(important, last), important=important or last)
            if not stored:
                limit_bytes = self._limit(important=True)
                kept = instead is not None and self._store(instead, limit_bytes, important=True)
                self.dropped += _points(record) - (_points(instead) if instead and kept else 0)
        if not self._dirty.is_set():
            self._dirty.set()
        return stored

    def sync(self) -> None:
        """Puts everything appended so far, and the counts, on disk."""
        with self._lock:
            files, self._retired = [*self._retired, os.dup(self._file)], []
            counts = {"written": self.written, "dropped": self.dropped}
        with contextlib.suppress(OSError):
            for file in files:
                os.fsync(file)
            write_note(self.folder / "counts.json", counts)
        for file in files:
            os.close(file)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Idempotent; ends, and lets go of the spool."""
        self.end(timeout_seconds)
        self.hold.let_go()

    def end(self, timeout_seconds: float = 5.0) -> None:
        """Idempotent; later appends are dropped and counted. The spool stays held while it is sent here."""
        if self._closing.is_set() or self.inherited:
            return
        with self._lock:
            self._closing.set()
        self._dirty.set()
        self._syncing.join(timeout_seconds)
        if self._syncing.is_alive():
            return  # the disk hangs: leave the rest to the kernel rather than hold the exit
        self.sync()
        self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _limit(self, important: bool, last: bool = False) -> float:
        if last:
            return math.inf
        return self._limit_bytes if important else self._limit_bytes - self._limit_bytes // _RESERVE_SHARE

    def _store(self, record: Record, limit_bytes: float, *, important: bool) -> bool:
        content = encode(self.written, record)
        if self._closing.is_set():
            return self._refuse("is closed")
        if not self._fits(len(content), limit_bytes):
            return self._refuse("is full")
        if self._disk_full and not important and not self._has_room_again():
            return self._refuse("is on a full disk")
        try:
            if self._segment_used and self._segment_used + len(content) > self._segment_bytes:
                self._rotate()
            self._write(content, important)
        except OSError as error:
            return self._refuse(f"cannot be written ({error.strerror or error})")
        self.written += 1
        self._segment_used += len(content)
        self._used_bytes += len(content)
        return True

    def _refuse(self, trouble: str) -> bool:
        self.trouble = trouble
        return False

    def _write(self, content: bytes, important: bool) -> None:
        """All of it, or nothing and OSError. On a full disk the reserve makes room for what is important."""
        while True:
            try:
                if os.write(self._file, content) < len(content):
                    raise OSError(errno.ENOSPC, "short write")
                return
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self._segment_used)
                self._disk_full = self._disk_full or error.errno in NO_SPACE
                if error.errno not in NO_SPACE or not important or not give_way(self.folder):
                    raise

    def _has_room_again(self) -> bool:
        """A full disk has room again when the reserve is whole: what frees a little is not spent at once."""
        now = time.monotonic()
        if now - self._looked_at > MEASURE_SECONDS:
            self._disk_full = not hold_reserve(self.folder, self._reserve_bytes)
            self._looked_at = now
        return not self._disk_full

    def _fits(self, size_bytes: int, limit_bytes: float) -> bool:
        now = time.monotonic()
        if self._used_bytes + size_bytes > limit_bytes and now - self._measured_at > MEASURE_SECONDS:
            self._used_bytes, self._measured_at = self._measure(), now
        return self._used_bytes + size_bytes <= limit_bytes

    def _measure(self) -> int:
        used = 0
        for segment in segments(self.folder):
            with contextlib.suppress(FileNotFoundError):
                used += segment.stat().st_size
        return used

    def _open_segment(self) -> tuple[int, int]:
        existing = segments(self.folder)
        path = existing[-1] if existing else segment_path(self.folder, self.written)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return file, os.fstat(file).st_size

    def _rotate(self) -> None:
        path = segment_path(self.folder, self.written)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._retired.append(self._file)
        self._file, self._segment_used = file, os.fstat(file).st_size

    def _sync_regularly(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            if not self._closing.is_set():
                self.sync()
            self._closing.wait(self._sync_seconds)


def _points(record: Record) -> int:
    return len(record.get("values", ())) or 1

"""What the job prints, into spools: every byte for the log, and the JSON lines on stdout as points."""

import base64
import os
import threading
from typing import IO

from tunebook.spool import Record, SpoolWriter
from tunebook_worker.json_lines import Lines, parse
from tunebook_worker.orders import JobFolder

READ_BYTES = 64 << 10
LOG_LIMIT_BYTES = 256 << 20
"""What may wait to be sent; beyond it output is left out, and the log says where and how much."""


class LogSpool:
    """Bytes of stdout and stderr in the order in which they came; safe for two threads."""

    def __init__(self, folder: JobFolder) -> None:
        self._writer = SpoolWriter(folder.log, limit_bytes=LOG_LIMIT_BYTES)
        self._lock = threading.Lock()
        self._missing_bytes = 0

    def append(self, content: bytes) -> None:
        with self._lock:
            if self._store(self._gap() + content):
                self._missing_bytes = 0
            else:
                self._missing_bytes += len(content)

    def close(self) -> None:
        if self._missing_bytes:
            self._store(self._gap(), important=True)
        self._writer.close()

    def _gap(self) -> bytes:
        """What stands in the log where output did not fit."""
        return (
            b"\n[tunebook: %d bytes are missing here]\n" % self._missing_bytes if self._missing_bytes else b""
        )

    def _store(self, content: bytes, *, important: bool = False) -> bool:
        record = {"content": base64.b64encode(content).decode()}
        return self._writer.append(record, important=important)


class Capture:
    """Two threads that empty the job's pipes, so that the job never waits for us or for the network."""

    def __init__(self, folder: JobFolder, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self._log = LogSpool(folder)
        self._points = SpoolWriter(folder.points)
        self._last_error = b""
        self._threads = [
            threading.Thread(target=self._read_output, args=(stdout,), name="stdout", daemon=True),
            threading.Thread(target=self._read_errors, args=(stderr,), name="stderr", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self, within_seconds: float) -> None:
        """Waits for the pipes to end; what a process that cannot be killed still prints is left out."""
        for thread in self._threads:
            thread.join(within_seconds)
        self._points.close()
        self._log.close()

    def report(self, record: Record) -> None:
        """A record of points that are not the job's own words."""
        self._points.append(record)

    @property
    def last_words(self) -> str:
        """The last line on stderr: for a Python job, what was raised."""
        lines = [line for line in self._last_error.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def _read_output(self, pipe: IO[bytes]) -> None:
        lines = Lines()
        while content := os.read(pipe.fileno(), READ_BYTES):
            self._log.append(content)
            for line in lines.feed(content):
                self._look_at(line)
        for line in lines.end():
            self._look_at(line)

    def _read_errors(self, pipe: IO[bytes]) -> None:
        while content := os.read(pipe.fileno(), READ_BYTES):
            self._log.append(content)
            self._last_error = (self._last_error + content)[-4096:]

    def _look_at(self, line: bytes) -> None:
        record = parse(line)
        if record is not None:
            self._points.append(record)

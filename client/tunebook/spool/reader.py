"""Reads a spool in numbered batches, while it is being written."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tunebook.spool.journal import (
    Found,
    Record,
    end_of,
    first_index,
    read_note,
    records,
    segments,
    write_note,
)


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where the next batch starts; `end` is the index after the batch in flight (0: none is)."""

    segment: int = 0
    offset: int = 0
    index: int = 0
    end: int = 0
    sequence: int = 0
    damaged: int = 0


class SpoolReader:
    """The one reader of a spool.

    `read` gives the same batch under the same `sequence` until `commit` – also after a crash between the two,
    because a batch's extent is on disk before the batch is handed out. So a number is never used for other
    content.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._cursor = self._load()
        self._after = self._cursor
        self._batch: list[Record] = []

    @property
    def sequence(self) -> int:
        """The number of the batch in flight, or else of the next one."""
        return self._cursor.sequence

    @property
    def damaged(self) -> int:
        """Records that were written but cannot be read, as far as acknowledged batches reach."""
        return self._cursor.damaged

    @property
    def dropped(self) -> int:
        """Points (and other records) that the size cap kept out, as the writer last noted."""
        return read_note(self.folder / "counts.json").get("dropped", 0)

    def read(self, max_records: int = 1000, *, max_bytes: int = 256 << 10) -> list[Record]:
        """The batch in flight, or else the next one; [] when there is nothing new."""
        if self._batch:
            return self._batch
        batch: list[Record] = []
        after, size_bytes, planned_end = self._cursor, 0, self._cursor.end
        for segment, found in self._walk():
            if planned_end and found.index >= planned_end:
                break
            batch.append(found.record)
            damaged = after.damaged + max(found.index - after.index, 0)
            after = replace(after, segment=segment, offset=found.end, index=found.index + 1, damaged=damaged)
            size_bytes += found.end - found.start
            if not planned_end and (len(batch) >= max_records or size_bytes >= max_bytes):
                break
        if batch and not planned_end:
            self._sync_segments(after.segment)
            self._save(replace(self._cursor, end=after.index))
        self._batch, self._after = batch, replace(after, end=0, sequence=after.sequence + 1)
        return batch

    def commit(self) -> None:
        """The batch in flight was acknowledged: moves on, and frees the segments behind it."""
        if not self._batch:
            return
        self._batch = []
        self._save(self._after)
        for segment in segments(self.folder)[:-1]:
            if first_index(segment) < self._cursor.segment:
                segment.unlink(missing_ok=True)

    def finish(self) -> int:
        """Once the writer has ended and `read` gave []: counts what is unreadable at the end, too."""
        missing = end_of(self.folder) - self._cursor.index
        if missing > 0 and not self._batch:
            cursor = self._cursor
            self._save(replace(cursor, damaged=cursor.damaged + missing, index=cursor.index + missing))
        return self._cursor.damaged

    def _walk(self) -> Iterator[tuple[int, Found]]:
        for segment in segments(self.folder):
            first = first_index(segment)
            if first < self._cursor.segment:
                continue
            offset = self._cursor.offset if first == self._cursor.segment else 0
            content = segment.read_bytes()
            offset = min(offset, len(content))
            for found in records(content[offset:]):
                yield first, replace(found, start=offset + found.start, end=offset + found.end)

    def _load(self) -> _Cursor:
        path, existing = self.folder / "cursor.json", segments(self.folder)
        note = read_note(path)
        if note:
            return _Cursor(**note)
        if not path.exists() and not (existing and first_index(existing[0])):
            return _Cursor()
        # The cursor is lost. A batch holds at least one record, so no number from here on was used before.
        first = first_index(existing[0]) if existing else 0
        return _Cursor(segment=first, index=first, sequence=end_of(self.folder))

    def _sync_segments(self, last: int) -> None:
        """A number is used only for content that a power cut cannot take back."""
        for segment in segments(self.folder):
            if self._cursor.segment <= first_index(segment) <= last:
                with segment.open("rb") as file:
                    os.fsync(file.fileno())

    def _save(self, cursor: _Cursor) -> None:
        write_note(self.folder / "cursor.json", asdict(cursor))
        self._cursor = cursor

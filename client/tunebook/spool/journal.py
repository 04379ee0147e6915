"""How records lie on disk, and how intact ones are found again after damage.

A record is a 4-byte little-endian length, a 4-byte little-endian CRC32 of the payload, and the payload: one
JSON object in ASCII whose first key "n" is the record's index. After damage the next intact record is found
by its first bytes; its index then says exactly how many records the damage cost.
"""

import errno
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_RECORD_BYTES = 1 << 20
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
RESERVE_STEP_BYTES = 64 << 10
_HEADER = struct.Struct("<II")
_START = b'{"n":'

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """An intact record between two bytes of a segment."""

    index: int
    record: Record
    start: int
    end: int


def encode(index: int, record: Mapping[str, object]) -> bytes:
    """One record as it lies on disk; raises ValueError when it is longer than MAX_RECORD_BYTES."""
    body = json.dumps(record, separators=(",", ":"), allow_nan=False)
    payload = b"%s%d%s%s" % (_START, index, b"," if len(body) > 2 else b"", body[1:].encode("ascii"))
    if len(payload) > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {len(payload)} bytes is longer than {MAX_RECORD_BYTES}")
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def records(content: bytes) -> Iterator[Found]:
    """Every intact record, stepping over damage."""
    at = 0
    while 0 <= at < len(content):
        found = _decode(content, at)
        if found is not None:
            yield found
            at = found.end
        else:
            # The payload is found by its first bytes, the header lies before it.
            candidate = content.find(_START, at + _HEADER.size + 1)
            at = candidate - _HEADER.size if candidate >= 0 else -1


def _decode(content: bytes, at: int) -> Found | None:
    if at + _HEADER.size > len(content):
        return None
    length, checksum = _HEADER.unpack_from(content, at)
    start, end = at + _HEADER.size, at + _HEADER.size + length
    if not len(_START) < length <= MAX_RECORD_BYTES or end > len(content):
        return None
    payload = content[start:end]
    if not payload.startswith(_START) or zlib.crc32(payload) != checksum:
        return None
    record: Record = json.loads(payload)
    return Found(record.pop("n"), record, at, end)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("events-*.log"))


def segment_path(folder: Path, first_index: int) -> Path:
    return folder / f"events-{first_index:012d}.log"


def first_index(segment: Path) -> int:
    return int(segment.stem.removeprefix("events-"))


def end_of(folder: Path) -> int:
    """The index for the next record: records written but no longer readable have used theirs up."""
    written = read_note(folder / "counts.json").get("written", 0)
    existing = segments(folder)
    if not existing:
        return written
    index, end = first_index(existing[-1]), 0
    content = existing[-1].read_bytes()
    for found in records(content):
        index, end = found.index + 1, found.end
    torn = 1 if end < len(content) else 0
    return max(written, index + torn)


def read_note(path: Path) -> dict[str, int]:
    """A small file of numbers; {} when it is absent or damaged."""
    try:
        note = json.loads(path.read_bytes())
        content = note["content"]
        return dict(content) if note["crc32"] == _checksum(content) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_note(path: Path, content: Mapping[str, int]) -> None:
    """Atomic, and on disk when it returns; on a full disk at the cost of the reserve."""
    try:
        _write_note(path, content)
    except OSError as error:
        if error.errno not in NO_SPACE or not give_way(path.parent):
            raise
        _write_note(path, content)


def hold_reserve(folder: Path, size_bytes: int) -> bool:
    """Takes up room on the disk, for `give_way` to free when there is no other; False where there is none.

    A disk that cannot do this, for any other reason than being full, goes without.
    """
    try:
        file = os.open(folder / "reserve", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, size_bytes)
            else:
                os.pwrite(file, bytes(size_bytes), 0)
        finally:
            os.close(file)
    except OSError as error:
        return error.errno not in NO_SPACE
    return True


def give_way(folder: Path) -> bool:
    """Frees a piece of the reserve for what must be written; False when it is used up."""
    path = folder / "reserve"
    try:
        size_bytes = path.stat().st_size
        os.truncate(path, max(size_bytes - RESERVE_STEP_BYTES, 0))
    except OSError:
        return False
    return size_bytes > 0


def _write_note(path: Path, content: Mapping[str, int]) -> None:
    temporary = path.with_suffix(".part")
    with temporary.open("w") as file:
        json.dump({"content": content, "crc32": _checksum(content)}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _checksum(content: Mapping[str, int]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())

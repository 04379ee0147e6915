"""A backup file: what pg_dump wrote, then a manifest that says what is in it, then a line of fixed length.

The archive stands first, so that `pg_restore` reads the file as it is: it ignores what follows.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import BinaryIO

FORMAT = 1
FOOTER_BYTES = 95
MANIFEST_BYTES_MOST = 1 << 20
_FOOTER = re.compile(rb"tunebook backup (\d{12}) ([0-9a-f]{64})\n\n")
_BLOCK_BYTES = 1 << 20


class BadBackup(Exception):
    """The file is none of ours, cut short or damaged: the message says which."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`content_sha256` is over the tables' rows (`storage/contents.py`), `archive_sha256` over the bytes
    before the manifest. Times are ISO 8601 in UTC, of the database's clock."""

    format: int
    tunebook: str
    migration: str
    generation: str
    created_at: str
    postgres: int
    """The server's major version."""
    pg_dump: int
    counts: Mapping[str, int]
    """Rows by table."""
    content_sha256: str
    archive_bytes: int
    archive_sha256: str

    def trailer(self) -> bytes:
        content = json.dumps(asdict(self), sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        return content + b"tunebook backup %012d %s\n\n" % (len(content), digest.encode())


def read_manifest(file: BinaryIO) -> Manifest:
    """The manifest of a whole and undamaged file: every byte of it is read. Raises BadBackup."""
    size = file.seek(0, 2)
    file.seek(max(size - FOOTER_BYTES, 0))
    footer = _FOOTER.fullmatch(file.read())
    if footer is None:
        raise BadBackup("it is no backup of Tunebook, or it was cut short")
    length = int(footer[1])
    start = size - FOOTER_BYTES - length
    if start < 0 or length > MANIFEST_BYTES_MOST:
        raise BadBackup("its manifest is damaged")
    file.seek(start)
    content = file.read(length)
    if hashlib.sha256(content).hexdigest().encode() != footer[2]:
        raise BadBackup("its manifest is damaged")
    manifest = _parse(json.loads(content))
    if manifest.archive_bytes != start:
        raise BadBackup(f"it holds {start} bytes of data where {manifest.archive_bytes} were written")
    if digest(file, start) != manifest.archive_sha256:
        raise BadBackup("its data is damaged: they are not the bytes that were written")
    return manifest


def digest(file: BinaryIO, length: int) -> str:
    """SHA-256 of the first `length` bytes."""
    file.seek(0)
    hashed = hashlib.sha256()
    while length > 0 and (block := file.read(min(_BLOCK_BYTES, length))):
        hashed.update(block)
        length -= len(block)
    return hashed.hexdigest()


def _parse(content: Mapping[str, object]) -> Manifest:
    if content.get("format") != FORMAT:
        raise BadBackup(f"it has format {content.get('format')}, and this Tunebook reads format {FORMAT}")
    return Manifest(**{field.name: content[field.name] for field in fields(Manifest)})  # type: ignore[arg-type]

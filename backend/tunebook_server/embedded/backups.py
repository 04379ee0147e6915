"""A backup made while everything runs, and restored as a whole or not at all."""

import fcntl
import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psycopg
from sqlalchemy import Connection

from tunebook_server.domain.backup import FORMAT, BadBackup, Manifest, digest, read_manifest
from tunebook_server.embedded import programs
from tunebook_server.embedded.errors import BackupFailed
from tunebook_server.services import restoring
from tunebook_server.services.restoring import Marked
from tunebook_server.storage import archives, clock, contents
from tunebook_server.storage.engine import autocommit, connect, transaction
from tunebook_server.storage.idempotency import OneTransaction
from tunebook_server.storage.migrate import knows, migrate_within, revision_of

ARCHIVE = ("--no-owner", "--no-privileges", "--schema=public")


def write(database_url: str, file: Path, *, replace: bool) -> Manifest:
    """Writes a backup of the database as it is when this begins, while others go on writing.

    The file is private from its first byte and has its name only when it is whole and on disk. Raises
    BackupFailed, and OSError.
    """
    engine = connect(database_url, pool_size=1)
    try:
        with (
            appearing(file, replace=replace) as archive,
            engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        ):
            contents.unhurried(connection)
            return _write(connection, database_url, archive)
    finally:
        engine.dispose()


def _write(connection: Connection, database_url: str, archive: BinaryIO) -> Manifest:
    server = contents.server_major(connection)
    migration = revision_of(connection)
    if not migration:
        raise BackupFailed("There is no Tunebook in this database.")
    pg_dump = programs.find("pg_dump", at_least=server)
    snapshot = contents.share_snapshot(connection)
    left_out = [f"--exclude-table-data=public.{table}" for table in contents.NOT_KEPT]
    argv: list[str | Path] = [pg_dump, "--format=custom", *ARCHIVE, *left_out, f"--snapshot={snapshot}"]
    programs.run(argv, programs.surroundings(database_url), archive)
    archive_bytes = archive.seek(0, os.SEEK_END)
    measured = contents.measure(connection)
    manifest = Manifest(
        format=FORMAT,
        tunebook=importlib.metadata.version("tunebook"),
        migration=migration,
        generation=contents.generation(connection),
        created_at=clock.began(connection).isoformat(),
        postgres=server,
        pg_dump=programs.major(pg_dump) or server,
        counts=measured.counts,
        content_sha256=measured.sha256,
        archive_bytes=archive_bytes,
        archive_sha256=digest(archive, archive_bytes),
    )
    archive.seek(archive_bytes)
    archive.write(manifest.trailer())
    return manifest


def read(file: Path) -> Manifest:
    """The manifest of a backup that is whole and that this Tunebook can restore. Raises BackupFailed."""
    try:
        with file.open("rb") as opened:
            manifest = read_manifest(opened)
    except BadBackup as error:
        raise BackupFailed(f"{file} cannot be restored: {error}.") from None
    if not knows(manifest.migration):
        raise BackupFailed(
            f"{file} was made by a newer Tunebook ({manifest.tunebook}, schema {manifest.migration}): "
            "restore it with that version or a later one."
        )
    return manifest


def restore(database_url: str, file: Path, *, replace: bool, revoke_tokens: bool) -> tuple[Manifest, Marked]:
    """Fills an empty database, or with `replace` one that holds a Tunebook, in a single transaction.

    In the same transaction the rows are compared with the manifest, the schema is brought up to date, and a
    new generation begins. So whatever ends this early leaves the database as it was. Raises BackupFailed.
    """
    manifest = read(file)
    engine = connect(database_url, pool_size=1)
    try:
        with transaction(engine) as connection:
            contents.unhurried(connection)
            _check_target(connection, manifest, replace=replace)
            archives.empty(connection)
            _load(connection, file, manifest)
            _compare(connection, manifest)
            migrate_within(connection)
            marked = restoring.mark(
                OneTransaction(connection).as_engine(),
                revoke_tokens=revoke_tokens,
                detail={"backup_of": manifest.created_at, "content_sha256": manifest.content_sha256},
            )
        with autocommit(engine) as connection:
            archives.analyze(connection)
    finally:
        engine.dispose()
    return manifest, marked


def _check_target(connection: Connection, manifest: Manifest, *, replace: bool) -> None:
    server = contents.server_major(connection)
    if server < manifest.postgres:
        raise BackupFailed(
            f"The backup is of Postgres {manifest.postgres} and this one is {server}: restore it into "
            f"Postgres {manifest.postgres} or newer."
        )
    ours, others = archives.tables_there(connection)
    if others:
        raise BackupFailed(
            f"The database holds tables that are not Tunebook's ({', '.join(others[:5])}): name an empty one."
        )
    if ours and not replace:
        raise BackupFailed(
            "The database is not empty. --force replaces all that is in it; make a backup of it first."
        )
    connected = archives.others_connected(connection)
    if connected:
        raise BackupFailed(
            f"The database is in use by {', '.join(connected[:5])}: "
            "stop every server and control worker first."
        )


def _load(connection: Connection, file: Path, manifest: Manifest) -> None:
    at_least = max(contents.server_major(connection), manifest.pg_dump)
    pg_restore = programs.find("pg_restore", at_least=at_least)
    try:
        for section in ("pre-data", "data", "post-data"):
            argv: list[str | Path] = [pg_restore, f"--section={section}", *ARCHIVE, "--file=-", file]
            with programs.printed(argv) as script:
                archives.load(connection, script)
            contents.unhurried(connection)
    except psycopg.Error as error:
        raise BackupFailed(f"{file} was not restored, nothing was changed: {error}") from error


def _compare(connection: Connection, manifest: Manifest) -> None:
    measured = contents.measure(connection)
    if (measured.sha256, measured.counts) != (manifest.content_sha256, manifest.counts):
        differing = [
            table
            for table in sorted({*measured.counts, *manifest.counts})
            if measured.counts.get(table) != manifest.counts.get(table)
        ]
        where = f" (another number of rows in {', '.join(differing)})" if differing else ""
        raise BackupFailed(f"What was restored is not what was backed up{where}: nothing was changed.")


@contextmanager
def appearing(file: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """A new file that has its name when the block has ended well, and is gone when it has not.

    Raises BackupFailed where there is a file already and `replace` is false, or another process writes it.
    """
    if file.exists() and not replace:
        raise BackupFailed(f"{file} exists: name another file, or replace it with --force.")
    scratch = file.with_name(f".{file.name}.part")
    part = os.fdopen(os.open(scratch, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    with part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(f"{file} is being written by another backup.") from None
        try:
            part.truncate()  # a killed backup may have left a beginning
            os.fchmod(part.fileno(), 0o600)
            yield part
            part.flush()
            os.fsync(part.fileno())
            _publish(scratch, file, replace=replace)
        except BaseException:
            with suppress(FileNotFoundError):
                scratch.unlink()
            raise


def _publish(scratch: Path, file: Path, *, replace: bool) -> None:
    if replace:
        scratch.replace(file)
    else:
        try:
            file.hardlink_to(scratch)  # unlike a rename, this never replaces what came meanwhile
        except FileExistsError:
            raise BackupFailed(f"{file} has come into being meanwhile: name another file.") from None
        scratch.unlink()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""`tunebook backup` and `tunebook restore`: on a data folder of `tunebook up`, or a server's database."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tunebook_server.commands import attempt
from tunebook_server.embedded.errors import BackupFailed, Held
from tunebook_server.settings import settings

if TYPE_CHECKING:
    from tunebook_server.services.restoring import Marked

WHERE = "the data folder of `tunebook up`; default: TUNEBOOK_DATABASE_URL's database, else .tunebook"


def backup(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tunebook backup",
        description="Writes all of Tunebook's database to one file, while everything runs.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--data", type=Path, help=WHERE)
    parser.add_argument("--force", action="store_true", help="replace FILE")
    arguments = parser.parse_args(list(argv))

    def start() -> int:
        from tunebook_server.embedded import backups

        with _database(arguments.data, running=True) as url:
            manifest = backups.write(url, arguments.file, replace=arguments.force)
        counts = manifest.counts
        size_mb = arguments.file.stat().st_size / 1e6
        _say(f"{arguments.file}: {size_mb:.1f} MB, as of {manifest.created_at}")
        _say(f"  {counts['studies']} studies, {counts['trials']} trials, {sum(counts.values())} rows in all")
        _say(f"  schema {manifest.migration}, content sha256 {manifest.content_sha256}")
        return 0

    return attempt("backup", start)


def restore(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tunebook restore",
        description="Restores a backup. What ran when it was made is queued again, and no worker of before "
        "may write.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", nargs="?")
    parser.add_argument("--data", type=Path, help=WHERE)
    parser.add_argument("--force", action="store_true", help="replace a database that is not empty")
    parser.add_argument(
        "--revoke-tokens",
        action="store_true",
        help="end all tokens of people and workers; one revoked since the backup would work again",
    )
    parser.add_argument(
        "--mark", action="store_true", help="no FILE: the database was restored already, by other means"
    )
    arguments = parser.parse_args(list(argv))
    if arguments.mark is (arguments.file is not None):
        parser.error("name a FILE, or --mark a database that was restored by other means.")
    if arguments.mark and arguments.force:
        parser.error("--force goes with a FILE: --mark replaces nothing.")

    def start() -> int:
        if arguments.mark:
            return _mark(arguments.data, revoke_tokens=arguments.revoke_tokens)
        from tunebook_server.embedded import backups

        backups.read(arguments.file)
        with _database(arguments.data, running=False) as url:
            manifest, marked = backups.restore(
                url, arguments.file, replace=arguments.force, revoke_tokens=arguments.revoke_tokens
            )
        counts = manifest.counts
        _say(f"Restored {arguments.file}, as of {manifest.created_at}; its content is what was backed up.")
        _say(f"  {counts['studies']} studies, {counts['trials']} trials, {sum(counts.values())} rows in all")
        return _report(marked)

    return attempt("restore", start)


def _mark(data: Path | None, *, revoke_tokens: bool) -> int:
    from tunebook_server.services import restoring
    from tunebook_server.storage.engine import connect
    from tunebook_server.storage.migrate import migrate

    with _database(data, running=True) as url:
        engine = connect(url, pool_size=1)
        try:
            migrate(engine)
            marked = restoring.mark(engine, revoke_tokens=revoke_tokens)
        finally:
            engine.dispose()
    return _report(marked)


def _report(marked: "Marked") -> int:
    _say(f"Generation {marked.generation}: every trial token of before is refused, everybody logs in again.")
    _say(f"  {marked.requeued} trials that ran are queued again, {marked.stopped} cancelled ones are stopped")
    if marked.tokens_revoked:
        _say(f"  {marked.tokens_revoked} tokens of people and workers revoked")
    return 0


@contextmanager
def _database(data: Path | None, *, running: bool) -> Iterator[str]:
    """The database's URL. `running`: that of a `tunebook up` may be used while it runs. Raises CannotRun."""
    if data is None and os.environ.get("TUNEBOOK_DATABASE_URL"):
        yield settings().database_url.get_secret_value()
        return
    folder = (data or settings().data).absolute()
    from tunebook_server.embedded.hold import Hold
    from tunebook_server.embedded.places import private_folder
    from tunebook_server.embedded.postgres import Postgres, make_database

    if running and not (folder / "postgres").is_dir():
        raise BackupFailed(f"There is no Tunebook in {folder}: name its data folder with --data.")
    os.umask(0o077)
    hold, postgres = Hold(private_folder(folder)), Postgres(folder / "postgres")
    try:
        hold.take()
    except Held:
        if not running:
            raise
        yield postgres.url()
        return
    try:
        postgres.start()
        make_database(postgres)
        yield postgres.url()
    finally:
        postgres.stop()
        hold.release()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")

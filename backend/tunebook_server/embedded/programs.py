"""pg_dump and pg_restore: found in a version that fits, told where the database is, heard when they fail."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from psycopg import conninfo, pq

from tunebook_server.embedded.binaries import find_binaries
from tunebook_server.embedded.errors import BackupFailed, PostgresFailed


def find(program: str, *, at_least: int) -> Path:
    """The program of the lowest major version that is not below `at_least`.

    Raises BackupFailed: a pg_dump cannot read a newer server, nor a pg_restore a newer archive.
    """
    found = {version: path for path in _places(program) if (version := major(path)) is not None}
    fitting = [version for version in found if version >= at_least]
    if fitting:
        return found[min(fitting)]
    have = (
        f"those here are of Postgres {', '.join(map(str, sorted(found)))}" if found else "there is none here"
    )
    raise BackupFailed(
        f"This needs {program} of Postgres {at_least} or newer, and {have}: install Postgres' client "
        "programs, and name their folder in TUNEBOOK_POSTGRES_BIN."
    )


def major(program: Path) -> int | None:
    """Its major version; None when it does not run."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    version = re.search(r"\) (\d+)", said)
    return int(version[1]) if version else None


def surroundings(database_url: str) -> dict[str, str]:
    """The environment that leads libpq's programs to this database: argv can be read by every user."""
    parameters = conninfo.conninfo_to_dict(database_url)
    names = {
        option.keyword.decode(): option.envvar.decode()
        for option in pq.Conninfo.get_defaults()
        if option.envvar is not None
    }
    told = {names[keyword]: str(value) for keyword, value in parameters.items() if keyword in names}
    return {**os.environ, **told, "PGAPPNAME": "tunebook backup"}


def run(argv: Sequence[str | Path], environment: dict[str, str], output: BinaryIO) -> None:
    """Writes what it prints to `output`. Raises BackupFailed with its own words."""
    with TemporaryFile() as said:
        status = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=said, check=False
        ).returncode
        _refuse(argv[0], status, said)


@contextmanager
def printed(argv: Sequence[str | Path]) -> Iterator[Iterator[bytes]]:
    """The lines that it prints, as it prints them. Raises BackupFailed after the last one."""
    with TemporaryFile() as said:
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, bufsize=1 << 20
        ) as process:
            assert process.stdout is not None
            try:
                yield iter(process.stdout)
            except BaseException:
                process.kill()
                raise
        _refuse(argv[0], process.returncode, said)


def _refuse(program: str | Path, status: int, said: BinaryIO) -> None:
    if status == 0:
        return
    said.seek(0)
    words = " ".join(said.read(4096).decode(errors="replace").split())
    raise BackupFailed(f"{Path(program).name} failed: {words or f'exit status {status}'}")


def _places(program: str) -> Iterator[Path]:
    """Later ones win over earlier ones of the same version."""
    on_path = shutil.which(program)
    if on_path:
        yield Path(on_path)
    yield from sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    try:
        yield find_binaries() / program
    except PostgresFailed:
        named = os.environ.get("TUNEBOOK_POSTGRES_BIN")
        if named:  # a folder of client programs alone
            yield Path(named) / program

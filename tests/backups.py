"""Backups of a test's database, and databases to restore them into."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tunebook_server.domain.backup import Manifest, read_manifest
from tunebook_server.embedded import programs
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.storage import contents
from tunebook_server.storage.engine import connect

TUNEBOOK = (sys.executable, "-c", "import sys, tunebook.cli; sys.exit(tunebook.cli.main())")

_names = itertools.count()


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, **variables}


def command(*argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TUNEBOOK, *argv], env=environment(**variables), capture_output=True, text=True, check=False
    )


@contextmanager
def fresh(postgres: Postgres, template: str = "template0") -> Iterator[str]:
    """A database of its own."""
    name = f"restored_{os.getpid()}_{next(_names)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    execute(postgres.url("postgres"), create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield postgres.url(name)
    finally:
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        execute(postgres.url("postgres"), drop)


def plainly_restored(database_url: str, file: Path) -> None:
    """By pg_restore alone, which takes no notice of the manifest behind the archive."""
    program = programs.find("pg_restore", at_least=16)
    argv: list[str | Path] = [
        program,
        "--schema=public",
        "--no-owner",
        "--exit-on-error",
        f"--dbname={database_url}",
        file,
    ]
    subprocess.run(argv, check=True)


def manifest_of(file: Path) -> Manifest:
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("rb") as opened:
        return read_manifest(opened)


def measured(database_url: str) -> tuple[str, Mapping[str, int]]:
    engine = connect(database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            found = contents.measure(connection)
    finally:
        engine.dispose()
    return found.sha256, found.counts


def points(database_url: str, below_epoch: int = 2**31 - 1) -> dict[int, int]:
    query = f"SELECT trial_id, sum(points) FROM metric_batches WHERE epoch < {below_epoch} GROUP BY 1"
    return {trial: int(count) for trial, count in rows(database_url, query)}


def rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode()).fetchall()


def execute(database_url: str, statement: str | sql.Composed) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement.encode() if isinstance(statement, str) else statement)

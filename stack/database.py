"""Postgres of the stack: the embedded one, over TCP on loopback, with a password."""

import time
from collections.abc import Callable
from pathlib import Path

from stack.places import Places
from stack.services import DATABASE, POSTGRES_SETTINGS, USER
from tunebook_server.embedded.child import Backoff, ended
from tunebook_server.embedded.errors import PostgresFailed
from tunebook_server.embedded.kernel import Lifeline
from tunebook_server.embedded.places import private_folder
from tunebook_server.embedded.postgres import DEATH_SIGNAL, STOP_TIMEOUT_SECONDS, Postgres, make_database

# By its socket only whoever owns the folder comes; by TCP, whoever knows the password.
ACCESS = """
local all all trust
host  all all 127.0.0.1/32 scram-sha-256
"""


class Database:
    def __init__(
        self, folder: Path, places: Places, password: str, *, lifeline: Lifeline, say: Callable[[str], None]
    ) -> None:
        access = private_folder(folder) / "access.conf"
        access.write_text(ACCESS)
        access.chmod(0o644)  # no secret, and Postgres may run as somebody else
        settings = {
            **POSTGRES_SETTINGS,
            "listen_addresses": "127.0.0.1",
            "port": places.port(places.postgres),
            "hba_file": str(access),
        }
        self.postgres = Postgres(folder, settings=settings)
        self._password, self._lifeline, self._say = password, lifeline, say
        self._backoff = Backoff(longest_seconds=1.0)
        self._guarded: int | None = None

    @property
    def pid(self) -> int:
        return self.postgres.process.pid if self.postgres.process else 0

    def start(self) -> None:
        self.postgres.start()
        assert self.postgres.process is not None
        self._guarded = self.postgres.process.pid
        self._lifeline.guard(self._guarded, DEATH_SIGNAL)
        make_database(self.postgres, DATABASE)
        self._set_password()

    def watch(self) -> None:
        process = self.postgres.process
        if process is not None and process.poll() is not None:
            pause = self._backoff.crashed(0.0)
            self._say(f"The postgres ended ({ended(process.returncode)}); starting it again in {pause:g} s.")
            self._release()
        if self.postgres.process is None and time.monotonic() >= self._backoff.due:
            try:
                self.start()
            except PostgresFailed as error:
                self._say(f"{error}")

    def ask_to_end(self) -> None:
        """`end` does: Postgres has a way of its own."""

    def end(self, timeout_seconds: float) -> None:
        self.postgres.stop(max(timeout_seconds, STOP_TIMEOUT_SECONDS))
        self._release()

    def _release(self) -> None:
        if self._guarded is not None:
            self._lifeline.release(self._guarded, DEATH_SIGNAL)
        self._guarded = self.postgres.process = None

    def _set_password(self) -> None:
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as connection:
            # Encrypted here: neither the password nor a statement with it can reach a log of the server.
            verifier = connection.pgconn.encrypt_password(
                self._password.encode(), USER.encode(), b"scram-sha-256"
            )
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(USER), verifier.decode()))

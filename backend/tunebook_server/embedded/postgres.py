"""A private Postgres out of a wheel: our own child, a unix socket, no TCP, works as root and as anybody."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil

from tunebook_server.embedded.binaries import find_binaries, unprivileged
from tunebook_server.embedded.errors import PostgresFailed
from tunebook_server.embedded.kernel import die_with_parent
from tunebook_server.embedded.places import LOG_LIMIT_BYTES, open_log, private_folder, socket_folder

START_TIMEOUT_SECONDS = 120.0  # recovery after a crash replays up to max_wal_size, 1 GB
STOP_TIMEOUT_SECONDS = 3.0
QUIT_TIMEOUT_SECONDS = 1.0
ORPHAN_TIMEOUT_SECONDS = 3.0
DEATH_SIGNAL = signal.SIGQUIT  # Postgres' immediate shutdown: what was committed is in its log


class Postgres:
    """One cluster in `folder`; `start()` initialises it when new, `stop()` is a fast shutdown.

    Whoever calls `start()` owns the folder: a server found running there is an orphan and is ended.
    """

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self.cluster = self.folder / "cluster"
        self.log = self.folder / "postgres.log"
        self.settings = settings or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.socket_folder = socket_folder(self.folder)

    def url(self, database: str = "tunebook") -> str:
        port = f"&port={self.settings['port']}" if "port" in self.settings else ""
        return f"postgresql://tunebook@/{database}?host={quote(str(self.socket_folder), safe='')}{port}"

    def start(self, give_up: Callable[[], bool] = lambda: False) -> None:
        """Returns when connections are accepted, also after a crash.

        Raises PostgresFailed, also when `give_up` says so while it waits.
        """
        private_folder(self.folder)
        private_folder(self.socket_folder)
        binaries = find_binaries()
        prefix = unprivileged([self.folder, self.socket_folder])
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise([*prefix, str(binaries / "initdb")])
        self._end_orphans()
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "log_checkpoints": "off",
            # A new database grows a hundredfold in a minute; plans of before then go through whole tables.
            "autovacuum_naptime": "10s",
            **self.settings,
        }
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with open_log(self.log, limit_bytes=LOG_LIMIT_BYTES) as log:
            log_start = log.tell()
            self.process = subprocess.Popen(
                [*prefix, str(binaries / "postgres"), "-D", str(self.cluster), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=die_with_parent(DEATH_SIGNAL),  # noqa: PLW1509 (one system call)
            )
        self._wait_until_ready(log_start, give_up)

    def stop(self, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> None:
        """Fast shutdown; after `timeout_seconds` an immediate one, which the next start recovers from."""
        if self.process is None:
            return
        for ending, seconds in ((signal.SIGINT, timeout_seconds), (signal.SIGQUIT, QUIT_TIMEOUT_SECONDS)):
            if self.process.poll() is None:
                self.process.send_signal(ending)
            try:
                self.process.wait(seconds)
                return
            except subprocess.TimeoutExpired:
                continue
        self.process.kill()
        self.process.wait()

    def _initialise(self, initdb: list[str]) -> None:
        for unfinished in self.folder.glob("cluster-*"):
            shutil.rmtree(unfinished)
        scratch = self.folder / f"cluster-{os.getpid()}"
        options = ["-U", "tunebook", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
        done = subprocess.run(
            [*initdb, "-D", str(scratch), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        if done.returncode != 0:
            shutil.rmtree(scratch, ignore_errors=True)
            raise PostgresFailed(f"initdb failed: {done.stderr.decode(errors='replace').strip()}")
        scratch.rename(self.cluster)

    def _end_orphans(self) -> None:
        """Ends what a killed server left running here, and forgets the files that name it.

        Postgres itself would refuse to start while a stale postmaster.pid names any living process at all,
        or while a backend of the killed postmaster still holds its shared memory.
        """
        pid_file = self.cluster / "postmaster.pid"
        if not pid_file.exists():
            return
        orphans = [process for process in psutil.process_iter() if _works_in(process, self.cluster)]
        for ending in (signal.SIGQUIT, signal.SIGKILL):
            for process in orphans:
                with suppress(psutil.NoSuchProcess):  # those of a dead postmaster end by themselves, too
                    process.send_signal(ending)
            _, orphans = psutil.wait_procs(orphans, timeout=ORPHAN_TIMEOUT_SECONDS)
        pid_file.unlink(missing_ok=True)
        for socket in self.socket_folder.glob(".s.PGSQL.*"):
            socket.unlink(missing_ok=True)

    def _wait_until_ready(self, log_start: int, give_up: Callable[[], bool]) -> None:
        import psycopg

        assert self.process is not None
        end = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            if self.process.poll() is not None:
                raise PostgresFailed(f"Postgres ended at once:\n{self._log_tail(log_start)}")
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > end or give_up():
                    self.stop()
                    tail = self._log_tail(log_start)
                    raise PostgresFailed(f"Postgres is not ready in time:\n{tail}") from None
                time.sleep(0.01)

    def _log_tail(self, start: int) -> str:
        with self.log.open("rb") as log:
            log.seek(start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-15:])


def _works_in(process: psutil.Process, cluster: Path) -> bool:
    try:
        return process.cwd() == str(cluster)
    except psutil.Error:
        return False


def make_database(server: Postgres, name: str = "tunebook") -> None:
    """Create the database unless it is there."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

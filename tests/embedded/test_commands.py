"""`tunebook server` and `tunebook control` alone: on a Postgres and a broker that somebody named."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.broker.test_transport import running_redis
from tests.live import until
from tests.services.making import make_study
from tunebook_broker import broker_url
from tunebook_server import broker
from tunebook_server.domain.access import well_formed
from tunebook_server.services import studies
from tunebook_server.settings import Settings


@pytest.fixture(params=["postgres", pytest.param("redis", marks=pytest.mark.redis)])
def queue(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgres":
        yield broker_url(database_url)
        return
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    with running_redis(tmp_path) as url:
        yield url


def test_control_wakes_for_a_study_and_ends_when_asked(
    queue: str, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    settings = {"TUNEBOOK_BROKER_URL": queue, "TUNEBOOK_SWEEP_SECONDS": "86400"}
    with started(tmp_path, "control", **environment(database_url), **settings) as control:
        until(lambda: swept(engine), "its first sweep is over: from now on only a wake can help")
        study = make_study(engine, budget=3)
        broker.configure(Settings.model_validate({"database_url": database_url, "broker_url": queue}))
        broker.wake(study.id)
        broker.wake(10**9)  # a study that is not there
        try:
            until(lambda: studies.get(engine, study_id=study.id).counts["queued"] == 3, "it sampled")
        finally:
            broker.close()
        control.send_signal(signal.SIGTERM)
        assert control.wait(10) == 0


def test_control_without_its_broker_still_sweeps(engine: Engine, database_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = {"TUNEBOOK_BROKER_URL": f"redis://127.0.0.1:{port}/0", "TUNEBOOK_SWEEP_SECONDS": "1"}
    study = make_study(engine, budget=3)
    with started(tmp_path, "control", **environment(database_url), **settings):
        until(lambda: studies.get(engine, study_id=study.id).counts["queued"] == 3, "the sweep sampled")


def test_server_alone_migrates_and_answers(tmp_path: Path, postgres_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with started(tmp_path, "server", "--port", str(port), **environment(postgres_url)) as server:
        until(lambda: healthy(port) or server.poll() is not None, "it answers")
        assert server.poll() is None, (tmp_path / "server.log").read_text()
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


def test_the_schema_alone_is_migrated_and_a_check_tells_who_runs(tmp_path: Path, postgres_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    settings = {**environment(postgres_url), "TUNEBOOK_PORT": port, "TUNEBOOK_DATA": str(tmp_path)}
    assert tunebook("server", "--migrate-only", **settings).returncode == 0
    assert tunebook("server", "--migrate-only", "--no-migrate", **settings).returncode == 2
    for command in ("server", "control"):
        assert tunebook(command, "--check", **settings).returncode == 1
    with started(tmp_path, "server", "--no-migrate", **settings), started(tmp_path, "control", **settings):
        for command in ("server", "control"):
            until(lambda name=command: tunebook(name, "--check", **settings).returncode == 0, "it is well")  # type: ignore[misc]
    assert tunebook("server", "--check", **settings).returncode == 1


def test_server_prints_a_login_code_or_a_worker_token_and_ends(database_url: str) -> None:
    code = tunebook("server", "--login-code", **environment(database_url))
    assert (code.returncode, len(code.stdout.strip())) == (0, 11)
    token = tunebook("server", "--worker-token", "gpu-7", **environment(database_url))
    assert token.returncode == 0
    assert well_formed(token.stdout.strip())


@pytest.mark.parametrize(
    ("command", "variables", "words"),
    [
        ("server", {"TUNEBOOK_PORT": "99999"}, "TUNEBOOK_PORT"),
        (
            "server",
            {"TUNEBOOK_DATABASE_URL": "mysql://x:hunter2@y"},
            "TUNEBOOK_DATABASE_URL: it must begin with",
        ),
        ("control", {"TUNEBOOK_LEASE_SECONDS": "3"}, "TUNEBOOK_LEASE_SECONDS must hold"),
        ("server", {"TUNEBOOK_HOST": "0.0.0.0"}, "TLS proxy"),
        (
            "server",
            {"TUNEBOOK_DATABASE_PASSWORD_FILE": "/nowhere"},
            "TUNEBOOK_DATABASE_PASSWORD_FILE: /nowhere",
        ),
        ("server", {"TUNEBOOK_DATABASE_URL": "postgresql://x:hunter2@127.0.0.1:1/x"}, "does not answer"),
        ("control", {"TUNEBOOK_DATABASE_URL": "postgresql://x:hunter2@127.0.0.1:1/x"}, "does not answer"),
    ],
)
def test_what_an_operator_can_set_right_is_said_in_one_line(
    command: str, variables: dict[str, str], words: str, database_url: str
) -> None:
    done = tunebook(command, **{**environment(database_url), **variables})
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def environment(database_url: str) -> dict[str, str]:
    return {"TUNEBOOK_DATABASE_URL": database_url}


def swept(engine: Engine) -> bool:
    """The lock of the sweep was taken: the cleaning, its last step, has run."""
    with engine.connect() as connection:
        return bool(connection.scalar(text("SELECT count(*) = 0 FROM login_attempts")))


@pytest.fixture(autouse=True)
def _old_row(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO login_attempts VALUES ('old', now() - interval '9 days')"))


@pytest.fixture
def postgres_url(engine: Engine, database_url: str) -> str:
    """A database without a schema."""
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return database_url


def healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False


def argv(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "import sys, tunebook.cli; sys.exit(tunebook.cli.main())", *arguments]


def tunebook(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(*arguments),
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextlib.contextmanager
def started(folder: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(argv(*arguments), env={**os.environ, **variables}, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()

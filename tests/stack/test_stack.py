"""The stack really run: a study through the proxy, while a server is killed and Redis is wiped."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from stack import Stack
from stack.errors import StackFailed
from tests.live import until
from tests.stack import needs
from tests.stack.conftest import TIMINGS, Study
from tunebook.api import Api
from tunebook.errors import Unreachable
from tunebook_server.embedded.errors import Held

pytestmark = [needs.stack, pytest.mark.faults, pytest.mark.redis]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack") / "data", environment=TIMINGS).start() as stack:
        yield stack
        tree = [psutil.Process(stack.pid(name)) for name in stack.services if name != "migrate"]
    assert [process for process in tree if process.is_running()] == []


def test_a_study_ends_while_a_server_is_killed_and_redis_is_wiped(running: Stack, folder: Path) -> None:
    study = Study(running, folder, trials=6)
    study.wait(lambda trials: any(t["state"] == "running" for t in trials), "a trial runs")
    killed = running.kill("server-1")
    study.wait(lambda trials: any(t["state"] == "completed" for t in trials), "a trial is completed")
    running.wipe_redis()
    trials = study.ended()
    assert {trial["state"] for trial in trials} == {"completed"}
    assert [len(study.attempts(trial["id"])) for trial in trials] == [1] * 6
    assert all(study.points(trial["id"]) == list(range(1, 31)) for trial in trials)
    until(lambda: running.pid("server-1") != killed, "the killed server was started again")
    running.wait_for("server-1")
    assert "server-1 ended (signal SIGKILL)" in running.log("stack")


def test_reads_never_fail_while_a_server_dies(running: Stack) -> None:
    """Each goes to the server that lives; one alone that dies is the control: there they do fail."""
    running.wait_for("server-2")
    alone = running.places.servers[1]
    failures = {running.url: 0, f"http://{alone}": 0}
    running.kill("server-2")
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        for url in failures:
            with closing(Api(url, (running.folder.path / "client.token").read_text())) as api:
                try:
                    api.get("/me")
                except Unreachable:
                    failures[url] += 1
    assert failures[running.url] == 0
    assert failures[f"http://{alone}"] > 0
    running.wait_for("server-2")


def test_an_event_is_told_through_the_proxy_at_once(running: Stack) -> None:
    with closing(running.api()) as api:
        token = (running.folder.path / "client.token").read_text()
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{running.url}/api/v1/events"
        with httpx.stream("GET", url, headers=headers, timeout=20, trust_env=False) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith(":")  # arrives though nothing follows: nobody holds it back
            project = api.post("/projects", {"name": "told"})["id"]
            document = {
                "name": "told",
                "goal": "is told",
                "objective": {"metric": "loss"},
                "budget": {"trials": 1},
                "space": [{"name": "rate", "type": "float", "low": 0.1, "high": 1.0}],
            }
            study = api.post(f"/projects/{project}/studies", document)["id"]
            told = (json.loads(line[5:]) for line in lines if line.startswith("data:"))
            assert any(event["study"] == study for event in told)


def test_the_proxy_replaces_what_a_client_says_of_itself(running: Stack) -> None:
    lie = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https"}
    answer = httpx.post(
        f"{running.url}/api/v1/login", json={"code": running.login_code()}, headers=lie, trust_env=False
    )
    assert answer.status_code == 200, answer.text
    assert "secure" not in answer.headers["set-cookie"].lower()
    assert "203.0.113.5" not in running.log("server-1") + running.log("server-2")


def test_passwords_stand_in_no_argv_and_no_log(running: Stack) -> None:
    secrets = [file.read_text().strip() for file in (running.folder.path / "secrets").iterdir()]
    assert len(secrets) == 4
    said = [running.log(name) for name in (*running.services, "stack")]
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            said.append(" ".join(process.cmdline()))
    assert not [secret for secret in secrets for text in said if secret in text]


def test_redis_and_postgres_want_their_passwords(running: Stack) -> None:
    host, _, port = running.places.redis.rpartition(":")
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(b"PING\r\n")
        assert plain.recv(100).startswith(b"-NOAUTH")
    import psycopg

    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://tunebook@{running.places.postgres}/tunebook")


@pytest.mark.parametrize("name", ["postgres", "redis", "proxy", "control"])
def test_each_can_be_restarted(running: Stack, name: str) -> None:
    before = running.pid(name)
    running.restart(name)
    assert running.pid(name) != before
    running.wait_for("proxy")


def test_a_stopped_one_stays_stopped(running: Stack) -> None:
    running.stop("proxy")
    with closing(running.api()) as api, pytest.raises(Unreachable):
        api.get("/me")
    running.begin("proxy")
    with closing(running.api()) as api:
        api.get("/me")


def test_one_stack_a_folder(running: Stack) -> None:
    with pytest.raises(Held, match="make stack"):
        Stack(running.folder.path).start()


def test_a_hung_server_is_passed_over(running: Stack) -> None:
    running.wait_for("server-1")
    word = "servers/server-1 is DOWN"
    before = running.log("proxy").count(word)
    running.kill("server-1", signal.SIGSTOP)
    try:
        until(lambda: running.log("proxy").count(word) > before, "the proxy noticed")
        with closing(running.api()) as api:
            for _ in range(10):
                api.get("/me")
    finally:
        running.kill("server-1", signal.SIGCONT)
    running.wait_for("server-1")


@pytest.mark.parametrize("password", ["", "changeme-changeme"])
def test_without_a_password_nothing_starts(tmp_path: Path, password: str) -> None:
    stack = Stack(tmp_path / "data", environment=TIMINGS)
    stack.folder.prepare()
    stack.folder.write_secret(tmp_path / "data/secrets/redis_password", password)
    with pytest.raises(StackFailed, match="redis_password"):
        stack.start()

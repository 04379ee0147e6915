"""The broker contract: what Celery needs of a queue, on Postgres and, where it is found, on Redis."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from celery import Celery

from tests.broker import celery_app
from tunebook_broker import broker_url, statements

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["postgres", pytest.param("redis", marks=pytest.mark.redis)])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "postgres":
        yield broker_url(request.getfixturevalue("database_url"))
        return
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    with running_redis(request.getfixturevalue("tmp_path")) as url:
        yield url


@contextlib.contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    port = free_port()
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: listening(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


class Crew:
    """The workers of one test, and the client that publishes to them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.record = folder / "record"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.client = Celery("client", broker=url)
        self.client.conf.update(task_ignore_result=True, broker_transport_options={"visibility_timeout": 5})

    def hire(self, name: str, *, slots: int = 1) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "celery", "-A", "tests.broker.celery_app", "worker", "-P", "threads"]
        argv += ["-c", str(slots), "-n", f"{name}@test", "-l", "warning"]
        argv += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        environment = os.environ | {"TEST_BROKER_URL": self.url, "TEST_RECORD": str(self.record)}
        with (self.folder / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.workers.append(worker)
        wait_until(lambda: f"{name}@test" in self.ping())
        return worker

    def ping(self) -> set[str]:
        return {name for reply in self.client.control.ping(timeout=0.5) for name in reply}

    def send(self, name: str, *arguments: str, **options: object) -> str:
        return str(self.client.send_task(name, args=arguments, **options).id)

    def lines(self) -> list[str]:
        """What ran, in order, without times."""
        return [line.split(" ", 1)[1] for line in self._raw()]

    def times(self) -> list[float]:
        return [float(line.split(" ", 1)[0]) for line in self._raw()]

    def _raw(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []

    def dismiss(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in self.workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(5)
            worker.kill()
            worker.wait()
        self.client.close()


@pytest.fixture
def crew(address: str, tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(address, tmp_path)
    yield crew
    crew.dismiss()


class TestContract:
    def test_a_published_task_starts_at_once(self, crew: Crew) -> None:
        crew.hire("one")
        delays = []
        for n in range(20):
            sent = time.time()
            crew.send("test.record", str(n))
            wait_until(lambda count=n + 1: len(crew.lines()) == count)  # type: ignore[misc]
            delays.append(crew.times()[n] - sent)
        assert sorted(delays)[10] < 0.1

    def test_one_consumer_keeps_the_order(self, crew: Crew) -> None:
        words = [str(n) for n in range(100)]
        for word in words:
            crew.send("test.record", word)
        crew.hire("one")
        wait_until(lambda: len(crew.lines()) == 100)
        assert crew.lines() == words

    def test_500_messages_to_two_consumers_none_lost_none_doubled(self, crew: Crew) -> None:
        crew.hire("one", slots=2)
        crew.hire("two", slots=2)
        words = [str(n) for n in range(500)]
        for word in words:
            crew.send("test.record", word)
        wait_until(lambda: len(crew.lines()) >= 500)
        assert sorted(crew.lines()) == sorted(words)

    def test_ping_answers_from_every_worker_again_and_again(self, crew: Crew) -> None:
        crew.hire("one")
        crew.hire("two")
        for _ in range(3):
            wait_until(lambda: crew.ping() == {"one@test", "two@test"})

    def test_a_revoked_task_never_runs(self, crew: Crew) -> None:
        crew.hire("one")
        gate = crew.folder / "gate"
        crew.send("test.slow", "first", str(gate))
        wait_until(lambda: crew.lines() == ["start first"])
        unwanted = crew.send("test.record", "unwanted")
        crew.client.control.revoke(unwanted)
        inspect = crew.client.control.inspect(timeout=0.5)
        wait_until(lambda: unwanted in ((inspect.revoked() or {}).get("one@test") or []))
        crew.send("test.record", "last")
        gate.touch()
        wait_until(lambda: "last" in crew.lines())
        assert "unwanted" not in crew.lines()

    def test_a_killed_worker_breaks_nothing_for_the_next(self, crew: Crew) -> None:
        gate = crew.folder / "gate"
        killed = crew.hire("one")
        crew.send("test.slow", "held", str(gate))
        wait_until(lambda: crew.lines() == ["start held"])
        crew.send("test.record", "waiting")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        gate.touch()
        crew.hire("two")
        crew.send("test.record", "new")
        # What the dead worker had reserved may be lost on Redis; what was never taken is not.
        wait_until(lambda: "new" in crew.lines())
        assert crew.lines().count("waiting") <= 1


def test_what_a_killed_worker_held_is_delivered_again(database_url: str, tmp_path: Path) -> None:
    crew = Crew(broker_url(database_url), tmp_path)
    try:
        gate = tmp_path / "gate"
        killed = crew.hire("one")
        crew.send("test.slow", "held", str(gate))
        wait_until(lambda: crew.lines() == ["start held"])
        crew.send("test.record", "waiting")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        gate.touch()
        crew.hire("two")
        wait_until(lambda: sorted(crew.lines()) == ["end held", "start held", "start held", "waiting"])
        wait_until(lambda: count(database_url, "broker_messages WHERE queue = 'celery'") == 0)
    finally:
        crew.dismiss()


def test_a_worker_survives_the_loss_of_its_connections(database_url: str, tmp_path: Path) -> None:
    crew = Crew(broker_url(database_url), tmp_path)
    try:
        crew.hire("one")
        with psycopg.connect(database_url, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'tunebook broker' AND datname = current_database()"
            ).fetchone()
        assert ended
        assert ended[0] >= 2
        crew.send("test.record", "after")
        wait_until(lambda: crew.lines() == ["after"])
        wait_until(lambda: crew.ping() == {"one@test"})
    finally:
        crew.dismiss()


def test_an_expired_message_is_never_delivered_and_goes_away(database_url: str, tmp_path: Path) -> None:
    crew = Crew(broker_url(database_url), tmp_path)
    try:
        crew.send("test.record", "stale", expiration=0.05)
        crew.send("test.record", "fresh", expiration=60)
        wait_until(lambda: count(database_url, "broker_messages WHERE expires_at > now()") == 1)
        crew.hire("one")
        wait_until(lambda: count(database_url, "broker_messages WHERE queue = 'celery'") == 0)
        assert crew.lines() == ["fresh"]
    finally:
        crew.dismiss()


def test_a_dead_workers_mailbox_is_cleared_away(database_url: str, tmp_path: Path) -> None:
    crew = Crew(broker_url(database_url), tmp_path)
    try:
        crew.hire("one").kill()
        crew.hire("two")
        boxes = "broker_bindings WHERE queue LIKE '%celery.pidbox' AND queue LIKE 'one@%'"
        wait_until(lambda: count(database_url, boxes) == 0)
    finally:
        crew.dismiss()


def test_an_idle_worker_costs_next_to_nothing(database_url: str, tmp_path: Path) -> None:
    crew = Crew(broker_url(database_url), tmp_path)
    try:
        worker = psutil.Process(crew.hire("one").pid)
        before, start = sum(worker.cpu_times()[:2]), time.monotonic()
        wait_until(lambda: time.monotonic() - start >= 6)  # over one recovery
        assert (sum(worker.cpu_times()[:2]) - before) / (time.monotonic() - start) < 0.03
    finally:
        crew.dismiss()


def test_a_living_consumer_keeps_what_it_took(database_url: str) -> None:
    """The recovery's condition, and its control: without the lock the same row is free."""
    with psycopg.connect(database_url, autocommit=True) as consumer:
        consumer.execute(statements.HOLD_KEY, (statements.CONSUMER_LOCKS, 77))
        take_and_recover = (
            "INSERT INTO broker_messages (queue, payload, taken_at, taken_by) VALUES ('q', '{}', now(), 77)",
            statements.FREE_ORPHANED_MESSAGES,
        )
        with psycopg.connect(database_url, autocommit=True) as other:
            for statement in take_and_recover:
                other.execute(statement.encode())
            assert count(database_url, "broker_messages WHERE taken_by = 77") == 1
            consumer.close()
            wait_until(lambda: free_count(other) == 0)


def free_count(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    connection.execute(statements.FREE_ORPHANED_MESSAGES.encode())
    row = connection.execute("SELECT count(*) FROM broker_messages WHERE taken_by = 77").fetchone()
    return int(str(row[0])) if row else 0


def count(database_url: str, rows: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {rows}".encode()).fetchone()
        return int(row[0]) if row else 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.01)


def test_the_client_module_is_the_workers() -> None:
    assert set(celery_app.app.tasks) >= {"test.record", "test.slow"}

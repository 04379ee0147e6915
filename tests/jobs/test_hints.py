"""Hints leave quickly or not at all: no broker can slow or fail the caller, and every loss is counted."""

import socket
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from tests.jobs.conftest import sent
from tunebook_server import broker
from tunebook_server.settings import Settings


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    broker.close()


@pytest.mark.usefixtures("publisher")
def test_hints_are_in_the_queue_and_expire(engine: Engine) -> None:
    broker.hint([3, 1, 2])
    broker.wake(7)
    assert sent(engine, "trials") == [3, 1, 2]
    assert sent(engine, "control") == [7]
    assert broker.counts() == broker.Counts(sent=4)
    with engine.connect() as connection:
        seconds = "extract(epoch FROM expires_at - now())"
        left = connection.scalars(text(f"SELECT {seconds} FROM broker_messages")).all()
    assert all(20 < float(value) <= 30 for value in left)


@pytest.mark.usefixtures("publisher")
def test_no_worker_judges_a_hint_by_its_own_clock(engine: Engine) -> None:
    broker.hint([1])
    assert sent(engine, "trials") == [1]
    with engine.connect() as connection:
        headers = connection.scalars(text("SELECT payload -> 'headers' FROM broker_messages")).one()
    assert headers["task"] == broker.TRIAL_TASK
    assert headers.get("expires") is None


@pytest.mark.usefixtures("publisher")
def test_a_lost_connection_costs_no_hint(engine: Engine) -> None:
    broker.hint([1])
    assert sent(engine, "trials") == [1]
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'tunebook broker' AND datname = current_database()"
            )
        )
    broker.hint([2])
    assert sent(engine, "trials") == [1, 2]


@pytest.mark.parametrize("scheme", ["redis", "tunebook+postgres"])
def test_a_silent_broker_delays_nobody_and_is_counted(scheme: str, silent_port: int) -> None:
    configure(f"{scheme}://127.0.0.1:{silent_port}/0")
    begun = time.monotonic()
    broker.hint([1])
    assert time.monotonic() - begun < 0.1
    broker.flush(20.0)
    assert broker.counts() == broker.Counts(failed=1)
    assert time.monotonic() - begun < 10  # two tries of two seconds each, and what connecting takes


@pytest.mark.parametrize("scheme", ["redis", "tunebook+postgres"])
def test_a_refusing_broker_is_counted(scheme: str, silent_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    configure(f"{scheme}://127.0.0.1:{port}/0")
    broker.hint([1, 2])
    broker.wake(1)
    broker.flush(20.0)
    assert broker.counts() == broker.Counts(failed=3)


def test_what_finds_no_room_is_dropped_and_counted(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "WAITING_LIMIT", 5)
    configure(f"redis://127.0.0.1:{silent_port}/0")
    broker.hint(range(100))
    assert broker.counts().dropped >= 94


def test_without_a_broker_hints_are_counted_as_dropped() -> None:
    before = broker.counts().dropped
    broker.hint([1])
    broker.wake(1)
    assert broker.counts().dropped == before + 2


def configure(url: str) -> None:
    broker.configure(Settings.model_validate({"broker_url": url}))

"""R7: an acknowledged point survives a crash of the database."""

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.crashes import WRITERS, write_through_crashes
from tests.promises.loops import LONG_LEASE
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults


def test_an_acknowledged_point_survives_a_crash_of_the_database(
    durable: Callable[..., Postgres], tmp_path: Path, size: Size, figures: Figures
) -> None:
    points, stops = size(p=50_000, n=1_000_000), size(p=3, n=20)
    found = stopped_at_once(durable(), tmp_path, points, stops)
    assert found == {"lost": 0, "doubled": 0, "wrong": 0}
    figures(points=points, writers=WRITERS, immediate_stops=stops, **found)


def test_without_synchronous_commit_it_would_not(
    durable: Callable[..., Postgres], tmp_path: Path, figures: Figures
) -> None:
    """The control: Postgres acknowledges before it has written; its log writer comes by every ten seconds."""
    careless = durable(synchronous_commit="off", wal_writer_delay="10s")
    found = stopped_at_once(careless, tmp_path, points=20_000, stops=2)
    assert found["lost"] > 0
    figures(control=f"synchronous_commit=off: caught, {found['lost']} lost")


def stopped_at_once(postgres: Postgres, folder: Path, points: int, stops: int) -> Counter[str]:
    data = folder / "data"
    data.mkdir()
    with tunebook(postgres, data, **LONG_LEASE) as live:
        return write_through_crashes(live, points, stops, lambda _: crash(postgres))


def crash(server: Postgres) -> None:
    """Postgres' immediate shutdown: every backend ends where it is, and the next start recovers."""
    assert server.process
    server.process.send_signal(signal.SIGQUIT)
    until(lambda: server.process is not None and server.process.poll() is not None, "Postgres has ended")
    server.start()

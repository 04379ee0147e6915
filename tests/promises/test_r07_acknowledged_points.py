"""R7: an acknowledged point survives a crash of the database."""

import contextlib
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.live import Live, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.loops import LONG_LEASE, ask, compared, loop_study, stored
from tunebook.api import Api, patiently
from tunebook_server.embedded.postgres import Postgres

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("promises")]

WRITERS, BATCH_POINTS = 8, 100


def test_an_acknowledged_point_survives_a_crash_of_the_database(
    durable: Callable[..., Postgres], tmp_path: Path, size: Size, figures: Figures
) -> None:
    points, stops = size(p=50_000, n=1_000_000), size(p=3, n=20)
    with running(durable(), tmp_path) as (server, live):
        found = write_through_crashes(server, live, points, stops)
    assert found == {"lost": 0, "doubled": 0, "wrong": 0}
    figures(points=points, writers=WRITERS, immediate_stops=stops, **found)


def test_without_synchronous_commit_it_would_not(
    durable: Callable[..., Postgres], tmp_path: Path, figures: Figures
) -> None:
    """The control: Postgres acknowledges before it has written; its log writer comes by every ten seconds."""
    with running(durable(synchronous_commit="off", wal_writer_delay="10s"), tmp_path) as (server, live):
        found = write_through_crashes(server, live, points=20_000, stops=2)
    assert found["lost"] > 0
    figures(control=f"synchronous_commit=off: caught, {found['lost']} lost")


@contextlib.contextmanager
def running(postgres: Postgres, folder: Path) -> Iterator[tuple[Postgres, Live]]:
    data = folder / "data"
    data.mkdir()
    with tunebook(postgres, data, **LONG_LEASE) as live:
        yield postgres, live


def write_through_crashes(server: Postgres, live: Live, points: int, stops: int) -> Counter[str]:
    """Writers send their batches in order, each until it is acknowledged and never again; at even shares of
    all points Postgres is stopped at once. What the curves then lack, double or change."""
    study, each = loop_study(live.api), points // WRITERS
    claims = [ask(live.api, study, f"writer-{number}") for number in range(WRITERS)]
    acknowledged, changed = [0] * WRITERS, threading.Condition()

    def write(number: int) -> None:
        trial, token = claims[number]["trial"]["id"], claims[number]["token"]
        with contextlib.closing(Api(live.url, token)) as api:
            for first in range(0, each, BATCH_POINTS):
                steps = list(range(first, min(first + BATCH_POINTS, each)))
                series = {"loss": {"step": steps, "value": [value(number, step) for step in steps]}}
                batch = {"epoch": 1, "sequence": first // BATCH_POINTS, "series": series}
                patiently(lambda: api.post(f"/trials/{trial}:report", batch), patience_seconds=120)  # noqa: B023
                with changed:
                    acknowledged[number] += len(steps)
                    changed.notify_all()

    with ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(write, number) for number in range(WRITERS)]
        for stop in range(1, stops + 1):
            with changed:
                changed.wait_for(lambda: sum(acknowledged) >= stop * points // (stops + 1), 300)  # noqa: B023
            crash(server)
        for done in writing:
            done.result()
    found: Counter[str] = Counter(lost=0, doubled=0, wrong=0)
    for number, claim in enumerate(claims):
        expected = [(step, value(number, step)) for step in range(each)]
        found.update(compared(expected, stored(live.api, claim["trial"]["id"])))
    return found


def value(writer: int, step: int) -> float:
    return writer + step / 2**20


def crash(server: Postgres) -> None:
    """Postgres' immediate shutdown: every backend ends where it is, and the next start recovers."""
    assert server.process
    server.process.send_signal(signal.SIGQUIT)
    until(lambda: server.process is not None and server.process.poll() is not None, "Postgres has ended")
    server.start()

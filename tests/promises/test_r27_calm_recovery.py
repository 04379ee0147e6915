"""R27: when many clients come back at once, the server stays calm, and people can look at it."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.live import Live, tunebook
from tests.promises.conftest import Figures
from tests.promises.loops import LONG_LEASE, loop_study
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.storage.engine import POOL_SIZE

pytestmark = [pytest.mark.soak, pytest.mark.quiet]

CLIENTS, PROCESSES, REPORTS = 500, 5, 200
AWAY_SECONDS = 45.0
"""Long enough for every client to have come to its longest wait."""
DRAINED_SECONDS, PAGE_P95_SECONDS, PEAK_SHARE = 300.0, 2.0, 0.3
BESIDE_POOL = 3
"""Connections: the event stream's, which listens, and the broker's."""
BEATING = {**LONG_LEASE, "TUNEBOOK_BEAT_SECONDS": "120"}


def test_five_hundred_clients_come_back_at_once(
    durable: Callable[..., Postgres], tmp_path: Path, figures: Figures
) -> None:
    with tunebook(durable(), tmp_path, **BEATING) as live:
        found = come_back(live, tmp_path, jitter="on")
    assert found["finished"] == CLIENTS
    assert found["seconds"] <= DRAINED_SECONDS
    assert set(found["answers"]) <= {"200", "429", "503"}
    assert found["connections"] <= POOL_SIZE + BESIDE_POOL
    assert found["page_p95"] <= PAGE_P95_SECONDS
    assert found["peak"] <= PEAK_SHARE
    figures(
        clients=CLIENTS,
        points=CLIENTS * REPORTS * 4,
        drained_s=found["seconds"],
        answered_200=found["answers"]["200"],
        answered_503=found["answers"]["503"],
        connections=found["connections"],
        page_p95_ms=1000 * found["page_p95"],
        most_in_one_second=f"{found['peak']:.0%}",
    )


def test_without_jitter_they_would_all_come_in_the_same_second(
    durable: Callable[..., Postgres], tmp_path: Path, figures: Figures
) -> None:
    """The control: clients that try again every second."""
    with tunebook(durable(), tmp_path, **BEATING) as live:
        found = come_back(live, tmp_path, jitter="off")
    assert found["peak"] > PEAK_SHARE
    figures(control=f"no jitter: caught, {found['peak']:.0%} of all clients in one second")


def come_back(live: Live, folder: Path, *, jitter: str) -> dict[str, Any]:
    """Clients report while the server is away; it comes back, and all that they have arrives."""
    study = loop_study(live.api, trials=CLIENTS)
    gone, back = folder / "gone", folder / "back"
    processes = []
    for number in range(PROCESSES):
        asked = {"client_id": f"process {number}", "count": CLIENTS // PROCESSES}
        claims = folder / f"claims-{number}"
        claims.write_text(json.dumps(live.api.post(f"/studies/{study}/trials:ask", asked)["trials"]))
        argv = [sys.executable, "-m", "tests.promises.reconnecting", live.url, str(claims)]
        argv += [str(folder / f"spool-{number}"), str(gone), str(REPORTS), str(back), jitter]
        processes.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**live.environment}))
    try:
        for part in live.processes:  # the control worker's connections are not the server's
            part.stop()
        live.processes.clear()
        gone.touch()
        away_until = time.monotonic() + AWAY_SECONDS
        for process in processes:
            assert line(process) == "ready\n"
        time.sleep(max(away_until - time.monotonic(), 0.0))
        live.start_server()
        back.touch()
        watched = Watch(live, study)
        said = [json.loads(line(process)) for process in processes]
        pages, connections = watched.end()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    answers: Counter[str] = Counter()
    for each in said:
        answers.update(each["answers"])
    return {
        "finished": sum(each["finished"] for each in said),
        "seconds": max(each["seconds"] for each in said),
        "answers": answers,
        "connections": connections,
        "page_p95": sorted(pages)[int(len(pages) * 0.95)],
        "peak": peak([at for each in said for at in each["arrivals"]]) / CLIENTS,
    }


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def peak(arrivals: Sequence[float]) -> int:
    """The most that came within one second."""
    ordered = sorted(arrivals)
    return max(sum(start <= at < start + 1 for at in ordered) for start in ordered)


class Watch(threading.Thread):
    """Somebody who looks at the study's page all the time, and counts the server's connections."""

    def __init__(self, live: Live, study: int) -> None:
        super().__init__(daemon=True)
        self.live, self.study = live, study
        self.pages: list[float] = []
        self.connections = 0
        self.ended = threading.Event()
        self.start()

    def end(self) -> tuple[list[float], int]:
        self.ended.set()
        self.join()
        return self.pages, self.connections

    def run(self) -> None:
        count = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        bearer = {"Authorization": f"Bearer {self.live.token}"}
        with (
            psycopg.connect(self.live.database_url, autocommit=True) as connection,
            httpx.Client(base_url=self.live.url, headers=bearer, timeout=60) as client,
        ):
            while not self.ended.is_set():
                started = time.perf_counter()
                answer = client.get(f"/studies/{self.study}")
                assert answer.status_code == 200, answer.text
                self.pages.append(time.perf_counter() - started)
                row = connection.execute(count.encode()).fetchone()
                self.connections = max(self.connections, int(row[0]) if row else 0)
                self.ended.wait(0.2)

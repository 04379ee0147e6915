"""Three hosts at work on the digits, for docs/watching.md: one is killed and comes back, one is drained."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from screenshots.camera import Camera, camera
from tests.browser.window import Site, log_in
from tests.live import Live, Process, tunebook, until
from tests.template import make_template
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.storage.engine import connect

EXAMPLES = Path(__file__).parents[1] / "examples"
STUDIES = ("digits_study.toml", "digits_narrow.toml")
SLOTS = 2
TIMINGS = {"TUNEBOOK_BEAT_SECONDS": "3", "TUNEBOOK_LEASE_SECONDS": "20", "TUNEBOOK_FENCE_SECONDS": "15"}


def take(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tunebook-watching-") as place, camera(folder) as made:
        postgres = Postgres(Path(place) / "postgres")
        postgres.start()
        try:
            make_template(postgres)
            data = Path(place) / "data"
            data.mkdir()
            with tunebook(postgres, data, **TIMINGS) as live:
                engine = connect(live.database_url)
                log_in(made.page.context, Site(live.url, engine, {}))
                engine.dispose()
                _work(live, made)
        finally:
            postgres.stop()


def _work(live: Live, made: Camera) -> None:
    for name in STUDIES:
        _create(live, EXAMPLES / name)
    with _host(live, "a"), _host(live, "c"):
        with _host(live, "b") as killed:
            _ended(live, 6)
            _power_cut(killed)
            _ended(live, 12)
        with _host(live, "b"):
            _ended(live, 20)
            (leaving,) = [row["id"] for row in live.api.get("/workers")["items"] if row["name"] == "node-c"]
            live.api.post(f"/workers/{leaving}:drain")
            _ended(live, 28)
            _shoot(live, made)


@contextmanager
def _host(live: Live, zone: str) -> Iterator[Process]:
    labels = f"zone={zone},cpu=epyc"
    with live.worker(f"node-{zone}", slots=SLOTS, TUNEBOOK_LABELS=labels) as worker:
        yield worker


def _shoot(live: Live, made: Camera) -> None:
    made.page.goto(f"{live.url}/workers")
    made.shoot("watching-workers", made.page.locator("#totals"), made.page.locator("#workers .table"))
    made.shoot("watching-timeline", made.page.locator("#timeline-head"), made.page.locator("#timeline-plot"))
    again = next(trial for trial in _trials(live) if trial["epoch"] > 1 and trial["state"] == "completed")
    made.page.goto(f"{live.url}/trials/{again['id']}")
    made.shoot("watching-attempts", made.page.locator("#attempts"))


def _trials(live: Live) -> list[dict[str, Any]]:
    return [trial for study in live.api.get("/studies")["items"] for trial in live.trials(study["id"])]


def _create(live: Live, study: Path) -> None:
    argv = [sys.executable, "-m", "tunebook", "study", "run", str(study)]
    environment = {"TUNEBOOK_URL": live.url, "TUNEBOOK_TOKEN": live.token, "PATH": os.environ["PATH"]}
    subprocess.run(argv, env=environment, check=True)


def _power_cut(worker: Process) -> None:
    family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGKILL)


def _ended(live: Live, trials: int) -> None:
    def enough() -> bool:
        return sum(trial["state"] in ("completed", "infeasible") for trial in _trials(live)) >= trials

    until(enough, f"{trials} trials have ended", 300)

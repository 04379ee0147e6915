"""Three hosts at work on the digits, for docs/watching.md: one is killed and comes back, one is drained."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from screenshots.camera import Camera
from screenshots.installation import installation, run_study
from tests.live import Live, Process, until

STUDIES = ("digits_study.toml", "digits_narrow.toml")
SLOTS = 2
TIMINGS = {"TUNEBOOK_BEAT_SECONDS": "3", "TUNEBOOK_LEASE_SECONDS": "20", "TUNEBOOK_FENCE_SECONDS": "15"}


def take(folder: Path) -> None:
    with installation(folder, **TIMINGS) as (live, made):
        _work(live, made)


def _work(live: Live, made: Camera) -> None:
    for name in STUDIES:
        run_study(live, name)
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


def _power_cut(worker: Process) -> None:
    family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGKILL)


def _ended(live: Live, trials: int) -> None:
    def enough() -> bool:
        return sum(trial["state"] in ("completed", "infeasible") for trial in _trials(live)) >= trials

    until(enough, f"{trials} trials have ended", 300)

"""R14: the clocks of hosts do not matter: leases are the database's."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import LEASE_SECONDS, SWEEP_SECONDS, Live, tunebook, until
from tests.promises.conftest import Figures
from tests.promises.jobs import family, kill_all, rows
from tunebook_server.embedded.postgres import Postgres

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
pytestmark = [
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed"),
    pytest.mark.soak,
    pytest.mark.faults,
    pytest.mark.xdist_group("promises"),
]

TRIALS, JUMP_SECONDS = 6, 0.5
TRAINS = f"""
import time, tunebook
trial = tunebook.current_trial()
began = time.monotonic()
step = 0
while time.monotonic() - began < {2.5 * LEASE_SECONDS}:
    step += 1
    trial.report(step, {{"loss": 1.0 / step}})
    time.sleep(0.1)
"""
BY_THE_SERVERS_CLOCK = """
import datetime
from sqlalchemy import literal
from tunebook_server.storage import trials
def lease(seconds):
    return literal(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds))
trials.lease = lease
"""
"""What sets a lease is the clock of the host that the request reached."""


def test_hosts_an_hour_off_and_jumping(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    with contextlib.ExitStack() as open_:
        live = open_.enter_context(tunebook(postgres, tmp_path))
        jumping = tmp_path / "clock"
        clocks = {"ahead": wrong("+1h"), "behind": wrong("-1h"), "jumping": wrong(file=jumping)}
        open_.enter_context(jumps(jumping))
        _, early = open_.enter_context(live.replica(**wrong("-5m")))
        _, late = open_.enter_context(live.replica(**wrong("+5m")))
        for name, server in (("ahead", early), ("behind", late), ("jumping", live.url)):
            open_.enter_context(live.worker(name, slots=TRIALS // 3, TUNEBOOK_URL=server, **clocks[name]))
        study = live.study(live.script(TRAINS), trials=TRIALS, parallel=TRIALS)
        ended = live.ended(study, TRIALS, within_seconds=120)
        attempts = rows(live, "SELECT count(*) AS n FROM attempts")[0]["n"]
        seconds = reaped_after(live, open_, clocks["jumping"], early)
    false = attempts - TRIALS
    figures(
        trials=TRIALS,
        leases_each=2.5,
        workers_off="+1 h, -1 h, jumping between",
        servers_off="+5 min, -5 min",
        false_reaps=false,
        killed_host_noticed_after_s=round(seconds, 1),
    )
    assert {trial["state"] for trial in ended} == {"completed"}
    assert false == 0
    assert seconds <= LEASE_SECONDS + SWEEP_SECONDS + 1


def test_with_leases_by_the_servers_clock_they_would(
    postgres: Postgres, tmp_path: Path, figures: Figures
) -> None:
    with (
        tunebook(postgres, tmp_path, variant=BY_THE_SERVERS_CLOCK) as live,
        live.replica(**wrong("-5m")) as (_, early),
        live.worker(TUNEBOOK_URL=early),
    ):
        live.study(live.script(TRAINS), trials=1, attempts=50)
        lost = "SELECT count(*) AS n FROM attempts WHERE outcome = 'lost'"
        until(lambda: rows(live, lost)[0]["n"] >= 2, "a living worker loses its trial")
    figures(control="leases by the server's clock: caught, 2 false reaps")


def wrong(offset: str = "", *, file: Path | None = None) -> dict[str, str]:
    """The environment of a process whose wall clock is wrong."""
    clock = (
        {"FAKETIME": offset}
        if file is None
        else {"FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}
    )
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **clock}


@contextlib.contextmanager
def jumps(clock: Path) -> Iterator[None]:
    over = threading.Event()

    def jump() -> None:
        offset = "+1h"
        while not over.wait(JUMP_SECONDS):
            offset = "-1h" if offset == "+1h" else "+1h"
            part = clock.with_suffix(".part")
            part.write_text(offset)
            part.replace(clock)

    clock.write_text("+1h")
    thread = threading.Thread(target=jump)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def reaped_after(live: Live, open_: contextlib.ExitStack, clock: dict[str, str], server: str) -> float:
    """Seconds, by the database, from the last beat of a worker that is killed to the end of its attempt."""
    live.clear()
    worker = open_.enter_context(live.worker("killed", slots=1, TUNEBOOK_URL=server, **clock))
    study = live.study(live.script(TRAINS), trials=1)
    trial = int(live.running(study)["id"])
    until(lambda: live.trial(trial)["last_step"] is not None, "it trains")
    kill_all(family(live, worker))
    query = (
        "SELECT extract(epoch FROM ended_at - last_beat_at)::float AS seconds FROM attempts"
        f" WHERE trial_id = {trial} AND epoch = 1 AND ended_at IS NOT NULL"
    )
    return float(until(lambda: rows(live, query), "the attempt has ended")[0]["seconds"])

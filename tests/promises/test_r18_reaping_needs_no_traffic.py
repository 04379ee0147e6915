"""R18: leases that ran out are dealt with though all workers are gone and nobody looks."""

from functools import partial
from pathlib import Path

import pytest

from tests.live import LEASE_SECONDS, SWEEP_SECONDS, Live, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import family, kill_all, outcomes, rows, states
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults

WAIT = "import signal; signal.pause()"
AT_ONCE = 5
"""Started together: with leases of seconds, fifty interpreters at once lose theirs before they run."""
EXPIRED = "extract(epoch FROM {} - coalesce(last_beat_at, claimed_at)) - " + str(LEASE_SECONDS)
"""Seconds since the lease of an attempt ran out."""


def test_all_workers_vanish_and_nobody_asks(
    postgres: Postgres, tmp_path: Path, size: Size, figures: Figures
) -> None:
    leases = size(p=5, n=50)
    with tunebook(postgres, tmp_path) as live:
        abandon(live, leases)
        before = outcomes(live).count("lost")
        until(lambda: outcomes(live).count("lost") == before + leases, "all of them are dealt with", 120)
        assert states(live) == ["queued"] * leases
        late = f"SELECT max({EXPIRED.format('ended_at')})::float8 AS late FROM attempts"
        slowest = float(rows(live, late)[0]["late"])
    assert slowest <= SWEEP_SECONDS + 5
    figures(leases=leases, handled=leases, slowest_s=slowest)


def test_without_the_sweep_they_would_stay(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    with tunebook(postgres, tmp_path, TUNEBOOK_SWEEP_SECONDS="86400") as live:
        abandon(live, 2)
        late = (
            f"SELECT min({EXPIRED.format('clock_timestamp()')}) > {SWEEP_SECONDS + 5} AS late FROM attempts"
        )
        until(lambda: rows(live, late)[0]["late"], "the leases ran out long ago")
        assert states(live) == ["running"] * 2
    figures(control="no sweep: caught, 2 of 2 stay running")


def run(live: Live, trials: int) -> bool:
    return states(live).count("running") == trials


def abandon(live: Live, trials: int) -> None:
    """So many trials run; then every worker, supervisor and job is gone at once."""
    with live.worker(slots=trials) as worker:
        study = live.study(live.script(WAIT), trials=trials, parallel=min(trials, AT_ONCE), attempts=100)
        for parallel in range(min(trials, AT_ONCE), trials + AT_ONCE, AT_ONCE):
            live.api.patch(f"/studies/{study}", {"parallel": parallel})
            until(partial(run, live, min(parallel, trials)), f"{parallel} of them run", 120)
        kill_all(family(live, worker))

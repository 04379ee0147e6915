"""R2: a worker that was paused for longer than its lease writes nothing afterwards, and ends by itself."""

import contextlib
import hashlib
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.live import LEASE_SECONDS, Live, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import family, late_writes, rows, runs
from tunebook.api import Api
from tunebook.errors import TunebookError
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults

GONE_SECONDS = 5.0
REPORTS = """
import time, tunebook
trial = tunebook.current_trial()
for step in range(1, 10**6):
    trial.report(step, {"loss": float(trial.epoch)})
    if step % 20 == 0:
        path = trial.checkpoint_folder / f"step-{step}"
        path.write_text(f"{trial.epoch} {step}")
        trial.checkpoint(step, path)
    time.sleep(0.05)
"""
UNFENCED = """
from tunebook_server.domain.access import Principal
from tunebook_server.services import metrics
Principal.require_epoch = lambda principal, epoch: None
metrics._fenced = lambda locked, incoming: False
"""


def test_pauses_of_two_leases(postgres: Postgres, tmp_path: Path, size: Size, figures: Figures) -> None:
    pauses, at_once = size(p=3, n=50), size(p=3, n=5)
    with tunebook(postgres, tmp_path) as live:
        slowest = max(pause_and_wake(live, at_once) for _ in range(pauses // at_once))
        late = late_writes(live)
    assert late == 0
    assert slowest <= GONE_SECONDS
    figures(pauses=pauses, stale_writes=late, changed_checkpoints=0, slowest_to_be_gone_s=slowest)


@pytest.mark.parametrize("variant", ["", UNFENCED], ids=["the server", "control: unfenced"])
def test_a_late_report_is_refused(variant: str, postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    """A report of the first attempt, in the name of whom the trial belongs to by then."""
    with tunebook(postgres, tmp_path, variant=variant) as live:
        study = live.study(live.script(REPORTS))
        first = ask(live, study)
        until(lambda: live.trial(first["trial"]["id"])["state"] == "queued", "the first lease ran out")
        second = ask(live, study)
        assert second["trial"]["epoch"] == 2
        batch = {"epoch": 1, "sequence": 0, "series": {"loss": {"step": [1], "value": [1.0]}}}
        accepted = 0
        for claim in (first, second):
            with contextlib.closing(Api(live.url, claim["token"])) as api, contextlib.suppress(TunebookError):
                api.post(f"/trials/{first['trial']['id']}:report", batch)
                accepted += 1
        points = live.points(first["trial"]["id"])
    assert (accepted > 0, bool(points)) == (bool(variant), bool(variant))
    if variant:
        figures(control=f"unfenced server: caught, {accepted} of 2 stale reports accepted")


def ask(live: Live, study: int) -> dict[str, Any]:
    (claim,) = live.api.post(f"/studies/{study}/trials:ask", {"client_id": "loop", "count": 1})["trials"]
    return dict(claim)


def pause_and_wake(live: Live, trials: int) -> float:
    """Seconds from the wake until nothing of the old attempts runs, once a second worker has their trials."""
    study = live.study(live.script(REPORTS), trials=trials, parallel=trials, checkpoints={"keep": "all"})
    of_study = f"JOIN trials ON trials.id = trial_id WHERE study_id = {study}"
    with live.worker(slots=trials) as first:
        saving = f"SELECT count(DISTINCT trial_id) AS some FROM checkpoints {of_study}"
        until(lambda: rows(live, saving)[0]["some"] == trials, "the first attempts save")
        sleepers = family(live, first)
        old = [process for process in sleepers if process.pid != first.pid]
        with live.worker(slots=trials):
            asleep_at = time.monotonic()
            for process in sleepers:
                process.suspend()
            try:
                again = f"{saving} AND checkpoints.epoch = 2"
                until(lambda: rows(live, again)[0]["some"] == trials, "the second attempts save")
                until(lambda: time.monotonic() - asleep_at >= 2 * LEASE_SECONDS, "two leases have passed")
                saved = digests(live)
            finally:
                woken_at = time.monotonic()
                for process in reversed(sleepers):
                    process.send_signal(signal.SIGCONT)
            until(lambda: not any(map(runs, old)), "what was asleep has ended")
            seconds = time.monotonic() - woken_at
            assert {path: digest for path, digest in digests(live).items() if path in saved} == saved
            live.clear()
    return seconds


def digests(live: Live) -> dict[str, str]:
    """Of the second attempts' checkpoints, as they lie on disk."""
    found = rows(live, "SELECT uri FROM checkpoints WHERE epoch = 2")
    return {row["uri"]: hashlib.sha256(Path(row["uri"]).read_bytes()).hexdigest() for row in found}

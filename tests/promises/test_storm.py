"""Everything at once: two hosts on networks of their own, one of them cut off for three leases, Redis wiped
every ten seconds, a server killed every twenty, Postgres restarted twice."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stack import Stack
from tests.live import ENDED, until
from tests.promises import storm_training
from tests.promises.conftest import Figures
from tests.promises.storm_training import STEPS, loss
from tests.stack import needs
from tests.stack.conftest import TIMINGS
from tunebook.errors import TunebookError

pytestmark = [
    needs.namespaces,
    pytest.mark.quiet,
    pytest.mark.soak,
    pytest.mark.faults,
]

TRIALS, SLOTS = 200, "2"
LEASE_SECONDS = float(TIMINGS["TUNEBOOK_LEASE_SECONDS"])
WIPE_SECONDS, KILL_SECONDS = 10.0, 20.0
CUT_AT, RESTARTS_AT = 15.0, (25.0, 60.0)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    environment = {**TIMINGS, "TUNEBOOK_SLOTS": SLOTS}
    with Stack(tmp_path / "data", namespaces=True, environment=environment).start() as running:
        yield running


def test_two_hundred_trials_in_a_storm(stack: Stack, tmp_path: Path, figures: Figures) -> None:
    record = tmp_path / "record"
    record.mkdir()
    study = create(stack, record)
    storm = Storm(stack)
    storm.start()
    try:
        trials = until(lambda: ended(stack, study), "all trials have ended", 900)
    finally:
        storm.end()
    assert storm.failures == []
    assert [trial["state"] for trial in trials] == ["completed"] * TRIALS
    attempts = {trial["number"]: items(stack, f"/trials/{trial['id']}/attempts") for trial in trials}
    completed = [sum(a["outcome"] == "completed" for a in each) for each in attempts.values()]
    lost = sum(missing(stack, trial, attempts[trial["number"]], record) for trial in trials)
    exceptions = record / "exceptions"
    seen = exceptions.read_text() if exceptions.exists() else ""
    overlap = max(overlap_seconds(record, number) for number in attempts)
    figures(
        trials=TRIALS,
        completed=sum(trial["state"] == "completed" for trial in trials),
        run_twice=sum(count > 1 for count in completed),
        attempts=sum(map(len, attempts.values())),
        points_lost=lost,
        exceptions_in_training=seen.count("Traceback"),
        overlap_seconds=round(overlap, 3),
        redis_wiped=storm.wiped,
        servers_killed=storm.killed,
        postgres_restarted=storm.restarted,
        hosts_cut_for=f"{3 * LEASE_SECONDS:g} s",
    )
    assert completed == [1] * TRIALS
    assert (lost, seen, overlap) == (0, "", 0.0)
    assert storm.restarted == len(RESTARTS_AT)


class Storm:
    """Its own thread for each kind of trouble, until `end`."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.wiped = self.killed = self.restarted = 0
        self.failures: list[str] = []
        self._over = threading.Event()
        kinds = (self._wipe, self._kill, self._restart, self._cut)
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in kinds]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, kind: Any) -> None:
        try:
            kind()
        except Exception as error:
            self.failures.append(f"{kind.__name__}: {error}")

    def _wipe(self) -> None:
        while not self._over.wait(WIPE_SECONDS):
            self.stack.wipe_redis()
            self.wiped += 1

    def _kill(self) -> None:
        while not self._over.wait(KILL_SECONDS):
            self.stack.kill(f"server-{1 + self.killed % 2}")
            self.killed += 1

    def _restart(self) -> None:
        began = time.monotonic()
        for at in RESTARTS_AT:
            if not self._over.wait(max(0.0, began + at - time.monotonic())):
                self.stack.restart("postgres")
                self.restarted += 1

    def _cut(self) -> None:
        if not self._over.wait(CUT_AT):
            self.stack.cut("host-1")
            self._over.wait(3 * LEASE_SECONDS)
            self.stack.join("host-1")


def create(stack: Stack, record: Path, *, trials: int = TRIALS, steps: int = STEPS) -> int:
    argv = ["python", storm_training.__file__, f"--record={record}", f"--steps={steps}"]
    template = {"name": "storm", "argv": argv, "folder": str(record), "environment": []}
    document = {
        "name": "storm",
        "goal": "every trial ends, once",
        "objective": {"metric": "loss", "direction": "minimize", "evaluation": "best"},
        "sampler": {"name": "halton", "seed": 1, "options": {}},
        "budget": {"trials": trials, "parallel": 100, "attempts": 20},
        "space": [{"name": "rate", "type": "float", "low": 0.1, "high": 1.0}],
        "job": {"template": "storm"},
    }
    with closing(stack.api()) as api:
        project = api.post("/projects", {"name": "storm"})["id"]
        api.post(f"/projects/{project}/job-templates", template)
        return int(api.post(f"/projects/{project}/studies", document)["id"])


def items(stack: Stack, path: str, **parameters: object) -> list[dict[str, Any]]:
    with closing(stack.api()) as api:
        return list(api.get(path, params=parameters)["items"])


def ended(stack: Stack, study: int) -> list[dict[str, Any]] | None:
    try:
        trials = items(stack, f"/studies/{study}/trials", sort="number", limit=1000)
    except TunebookError:  # the storm blows here too
        return None
    return trials if len(trials) == TRIALS and all(t["state"] in ENDED for t in trials) else None


def missing(stack: Stack, trial: dict[str, Any], attempts: list[dict[str, Any]], record: Path) -> int:
    """Steps that the curve lacks or has from an attempt that does not own them; more than it should, too."""
    firsts = {attempt["epoch"]: attempt["resumed_from_step"] or 0 for attempt in attempts}
    firsts = {
        epoch: first for epoch, first in firsts.items() if (record / f"{trial['number']}-{epoch}").exists()
    }
    owner = {
        step: max(epoch for epoch, first in firsts.items() if first < step) for step in range(1, STEPS + 1)
    }
    wanted = {(step, loss(step, owner[step])) for step in owner}
    curves = items(stack, f"/trials/{trial['id']}/metrics", metric="loss", max_points=10_000)
    seen = [point for curve in curves for point in zip(curve["steps"], curve["values"], strict=True)]
    return len(wanted ^ set(seen)) + len(seen) - len(set(seen))


def overlap_seconds(record: Path, number: int) -> float:
    """How long two attempts at one trial trained at the same time, by what they wrote down themselves."""
    spans = []
    for file in record.glob(f"{number}-*"):
        times = [float(line.split()[1]) for line in file.read_text().splitlines()]
        if times:
            spans.append((times[0], times[-1]))
    spans.sort()
    return max([0.0, *(before[1] - after[0] for before, after in pairwise(spans))])

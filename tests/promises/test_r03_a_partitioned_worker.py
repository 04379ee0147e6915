"""R3: a worker that is cut off ends its jobs before another begins the same trials."""

from pathlib import Path
from typing import Any

import pytest

from stack import Stack, Way
from tests.live import until
from tests.promises.conftest import Figures
from tests.promises.test_storm import create, items, overlap_seconds
from tests.stack import needs
from tests.stack.conftest import TIMINGS

pytestmark = [needs.namespaces, pytest.mark.soak, pytest.mark.faults]

TRIALS, CUTS = 5, 7
UNFENCED = "from tunebook_worker.beats import Beats\nBeats.silent_seconds = lambda beats: 0.0\n"
"""A supervisor that thinks it was answered just now."""


@pytest.mark.parametrize("fenced", [True, False], ids=["fenced", "control"])
def test_partitions(tmp_path: Path, fenced: bool, figures: Figures) -> None:
    (tmp_path / "sitecustomize.py").write_text("" if fenced else UNFENCED)
    environment = {**TIMINGS, "TUNEBOOK_SLOTS": str(TRIALS), "PYTHONPATH": str(tmp_path)}
    record = tmp_path / "record"
    record.mkdir()
    with Stack(tmp_path / "data", namespaces=True, environment=environment).start() as stack:
        study = create(stack, record, trials=TRIALS, steps=10**6)
        cut = silent_first = 0
        for number in range(CUTS if fenced else 1):
            host, held = until(lambda: busiest(stack, study), "all trials train", 240)
            stack.cut(host, list(Way)[number % len(Way)])
            silent_first += watch(stack, study, host, held)
            until(lambda h=host: busiest(stack, study, besides=h), "all of them train on the other host", 240)  # type: ignore[misc]
            stack.join(host)
            cut += len(held)
        numbers = [trial["number"] for trial in items(stack, f"/studies/{study}/trials", limit=100)]
    overlap = max(overlap_seconds(record, number) for number in numbers)
    if fenced:
        figures(
            partitions=cut, overlap_seconds=overlap, silent_before_requeued=f"{silent_first} of {CUTS} hosts"
        )
        assert (overlap, silent_first) == (0.0, CUTS)
    else:
        figures(control=f"no fence: caught, {overlap:.1f} s of overlap")
        assert overlap > 0


def busiest(stack: Stack, study: int, *, besides: str = "") -> tuple[str, dict[int, int]] | None:
    """The host that trains most, with its trials and their epochs, once every trial trains somewhere."""
    by_host: dict[str, dict[int, int]] = {}
    for row in items(stack, "/workers"):
        host = row["name"].replace("worker", "host")
        trials = [trial for trial in row["trials"] if trial["state"] == "running"]
        by_host[host] = {trial["id"]: trial["epoch"] for trial in trials if reports(stack, trial)}
    by_host.pop(besides, None)
    if sum(map(len, by_host.values())) < TRIALS:
        return None
    return max(by_host.items(), key=lambda pair: len(pair[1]))


def reports(stack: Stack, trial: dict[str, Any]) -> bool:
    """Whether the attempt that holds the trial has stored points: they say which epoch wrote them."""
    attempts = items(stack, f"/trials/{trial['id']}/attempts")
    return bool(attempts[-1]["epoch"] == trial["epoch"] and attempts[-1]["started_at"])


def watch(stack: Stack, study: int, host: str, epochs: dict[int, int]) -> bool:
    """Whether the worker was called silent before the first of its trials was taken from it."""
    worker = host.replace("host", "worker")

    def state() -> str | None:
        row = next(row for row in items(stack, "/workers") if row["name"] == worker)
        trials = {t["id"]: t for t in items(stack, f"/studies/{study}/trials", limit=100)}
        taken = any(trials[i]["epoch"] != e or trials[i]["state"] == "queued" for i, e in epochs.items())
        return "silent" if row["state"] == "silent" else ("taken" if taken else None)

    return until(state, "it is called silent, or its trials are taken", 120) == "silent"

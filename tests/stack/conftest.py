"""One study for every stack: small trials, of a real training process."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stack import Stack
from tests.live import ENDED, until

TIMINGS = {
    "TUNEBOOK_BEAT_SECONDS": "1",
    "TUNEBOOK_LEASE_SECONDS": "12",
    "TUNEBOOK_FENCE_SECONDS": "10",
    "TUNEBOOK_SWEEP_SECONDS": "1",
    "TUNEBOOK_HINT_AGAIN_SECONDS": "2",
    "TUNEBOOK_GRACE_SECONDS": "2",
}
PROGRAM = """
import argparse, itertools, pathlib, time, tunebook
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
rate = parser.parse_args().rate
trial = tunebook.current_trial()
closed = pathlib.Path(__file__).with_name("closed")
for step in itertools.count(1):
    trial.report(step, {"loss": rate / step})
    time.sleep(0.1)
    if step >= 30 and not closed.exists():
        break
"""
"""Thirty steps, and more while a file `closed` lies beside it."""
PATIENCE_SECONDS = 120.0


class Study:
    def __init__(self, stack: Stack, folder: Path, *, trials: int) -> None:
        self.stack, self.trials_wanted = stack, trials
        script = folder / "train.py"
        script.write_text(PROGRAM)
        self.closed = folder / "closed"
        template = {"name": "t", "argv": ["python", str(script)], "folder": str(folder), "environment": []}
        document = {
            "name": "s",
            "goal": "all trials end once",
            "objective": {"metric": "loss", "direction": "minimize", "evaluation": "best"},
            "sampler": {"name": "halton", "seed": 1, "options": {}},
            "budget": {"trials": trials, "parallel": 2, "attempts": 5},
            "space": [{"name": "rate", "type": "float", "low": 0.1, "high": 1.0}],
            "job": {"template": "t"},
        }
        with closing(stack.api()) as api:
            project = api.post("/projects", {"name": folder.name})["id"]
            api.post(f"/projects/{project}/job-templates", template)
            self.id = int(api.post(f"/projects/{project}/studies", document)["id"])

    def hold(self) -> None:
        """Until `release`, no trial ends."""
        self.closed.touch()

    def release(self) -> None:
        self.closed.unlink()

    def ask(self, path: str, **parameters: object) -> dict[str, Any]:
        with closing(self.stack.api()) as api:
            return dict(api.get(path, params=parameters))

    def trials(self) -> list[dict[str, Any]]:
        items = self.ask(f"/studies/{self.id}/trials", sort="number", limit=100)["items"]
        return [item.get("trial", item) for item in items]

    def attempts(self, trial: int) -> list[dict[str, Any]]:
        return list(self.ask(f"/trials/{trial}/attempts")["items"])

    def points(self, trial: int) -> list[int]:
        curves = self.ask(f"/trials/{trial}/metrics", metric="loss", max_points=1000)["items"]
        return sorted(step for curve in curves for step in curve["steps"])

    def wait(self, condition: Callable[[list[dict[str, Any]]], object], what: str) -> list[dict[str, Any]]:
        def fulfilled() -> list[dict[str, Any]] | None:
            trials = self.trials()
            return trials if condition(trials) else None

        return until(fulfilled, what, PATIENCE_SECONDS)

    def ended(self) -> list[dict[str, Any]]:
        return self.wait(
            lambda trials: len(trials) == self.trials_wanted and all(t["state"] in ENDED for t in trials),
            "all trials have ended",
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For training scripts, apart from the stack's own."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    return folder

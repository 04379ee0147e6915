"""Checkpoints in a folder: what is kept there, what is passed over, and what is never touched."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.live import Live, until

SAVES = """
import signal, tunebook
trial = tunebook.current_trial()
if trial.resume_from is None and trial.epoch == 1:
    for step, loss in enumerate([5.0, 1.0, 3.0, 4.0]):
        trial.report(step, {"loss": loss})
        path = trial.checkpoint_folder / f"step-{step}"
        path.write_text(f"weights {step}")
        trial.checkpoint(step, path, *METRIC)
    (trial.checkpoint_folder / "notes").write_text("the job's own")
    signal.pause()
trial.report(9, {"loss": 2.0})
print(trial.resume_step, trial.resume_from and trial.resume_from.read_text())
"""


def saved(live: Live, *, metric: str = "()", **environment: str) -> int:
    """A trial whose first attempt has saved four times; its worker was stopped."""
    with live.worker("", slots=1, **environment):
        study = live.study(live.script(SAVES.replace("METRIC", metric)), checkpoints={"keep_last": 2})
        trial = int(live.running(study)["id"])
        until(lambda: len(live.checkpoints(trial)) == 4, "all checkpoints are registered")
        until(lambda: live.checkpoints(trial)[-1]["state"] == "removed", "the first one is removed")
    until(lambda: live.trial(trial)["state"] == "queued", "the trial was given back")
    return trial


def resumed(live: Live, trial: int, **environment: str) -> dict[str, Any]:
    """The second attempt, completed."""
    with live.worker("", slots=1, **environment):
        until(lambda: live.trial(trial)["state"] == "completed", "it completes")
    return live.attempts(trial)[-1]


def folder(live: Live, trial: int) -> Path:
    return live.data / "checkpoints" / str(trial) / "1"


def test_the_best_and_the_last_stay_and_so_does_what_was_never_registered(live: Live) -> None:
    trial = saved(live)
    assert sorted(path.name for path in folder(live, trial).iterdir()) == [
        "notes",
        "step-1",
        "step-2",
        "step-3",
    ]
    row = live.checkpoints(trial)[0]
    assert (row["size_bytes"], row["content_hash"][:5]) == (len("weights 3"), "stat:")
    assert [(r["step"], r["state"], r["reason"]) for r in live.checkpoints(trial)] == [
        (3, "keep", "last"),
        (2, "remove_next", "last, until the next one is registered"),
        (1, "keep", "best"),
        (0, "removed", "not among the best 1 and the last 2"),
    ]
    assert resumed(live, trial)["resume_note"] == ""
    assert live.log(trial) == "3 weights 3\n"


def test_a_metric_of_the_jobs_own_decides_which_is_best(live: Live) -> None:
    trial = saved(live, metric="(-float(step == 2),)")
    assert [(r["step"], r["metric"]) for r in live.checkpoints(trial)] == [(3, 0), (2, -1), (1, 0), (0, 0)]
    kept = {row["step"] for row in live.checkpoints(trial) if row["state"] in ("keep", "remove_next")}
    assert kept == {2, 3}


def test_one_that_was_cut_short_is_passed_over(live: Live) -> None:
    trial = saved(live)
    os.truncate(folder(live, trial) / "step-3", 2)
    attempt = resumed(live, trial)
    assert attempt["resumed_from_step"] == 2
    assert attempt["resume_note"] == (
        "Resumed from step 2. Checkpoint of step 3: it is damaged: 2 bytes in place of 9."
    )
    assert live.log(trial) == "2 weights 2\n"


def test_one_that_was_written_over_is_passed_over(live: Live) -> None:
    trial = saved(live)
    (folder(live, trial) / "step-3").write_text("weights X")
    assert resumed(live, trial)["resumed_from_step"] == 2
    assert live.log(trial) == "2 weights 2\n"


def test_a_host_that_does_not_see_the_folder_starts_over_and_says_so(live: Live, tmp_path: Path) -> None:
    trial = saved(live)
    attempt = resumed(live, trial, TUNEBOOK_DATA=str(tmp_path / "other"))
    assert attempt["resumed_from_step"] == 3, "the same path is seen here: one host, two data folders"
    trial = saved(live)
    folder(live, trial).rename(tmp_path / "moved away")
    attempt = resumed(live, trial, TUNEBOOK_DATA=str(tmp_path / "other"))
    assert attempt["resumed_from_step"] is None
    assert attempt["resume_note"].startswith(
        "Started over from the beginning. Checkpoint of step 3: it is not on this host: "
    )
    assert live.log(trial) == "None None\n"
    states = {row["step"]: row["state"] for row in live.checkpoints(trial)}
    assert states[3] == "keep", "it may be on another host"


def test_a_shared_folder_is_written_by_jobs_and_cleared_by_any_worker(live: Live, tmp_path: Path) -> None:
    shared = {"TUNEBOOK_CHECKPOINTS": str(tmp_path / "shared")}
    trial = saved(live, **shared)
    assert (tmp_path / "shared" / str(trial) / "1" / "step-3").read_text() == "weights 3"
    resumed(live, trial, TUNEBOOK_DATA=str(tmp_path / "other"), **shared)
    assert live.log(trial) == "3 weights 3\n"


@pytest.mark.parametrize("outside", ["elsewhere", "/link"])
def test_what_lies_outside_the_attempts_folder_is_never_removed(
    live: Live, tmp_path: Path, outside: str
) -> None:
    """Not where a job saves it somewhere else, and not through a link inside its own folder."""
    program = f"""
import pathlib, tunebook
trial = tunebook.current_trial()
folder = pathlib.Path({str(tmp_path)!r}) / "elsewhere"
folder.mkdir()
inside = trial.checkpoint_folder / "link"
inside.symlink_to(folder)
for step in range(3):
    trial.report(step, {{"loss": 1.0}})
    (folder / str(step)).write_text("precious")
    trial.checkpoint(step, (inside if {outside.startswith("/")} else folder) / str(step))
"""
    with live.worker() as worker:
        study = live.study(live.script(program))
        (trial,) = live.ended(study)
        if outside.startswith("/"):
            until(lambda: "leads out of" in worker.log.read_text(), "the worker was asked and refused")
        else:
            assert {row["state"] for row in live.checkpoints(trial["id"])} == {"keep"}
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["0", "1", "2"]

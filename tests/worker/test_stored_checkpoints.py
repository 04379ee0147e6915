"""Checkpoints in an S3 store: uploaded, then registered; resumed from on any host; removed there."""

import hashlib
import signal
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.live import Live, Process, until
from tests.worker.s3 import S3, s3

__all__ = ["s3"]
pytestmark = pytest.mark.faults

SAVES_AND_WAITS = """
import os, signal, tunebook
trial = tunebook.current_trial()
if trial.resume_from is None:
    for step in (1, 2):
        trial.report(step, {"loss": 10.0 - step})
        path = trial.checkpoint_folder / f"step-{step}.bin"
        path.write_bytes(f"weights {step}".encode())
        trial.checkpoint(step, path)
    print([name for name in os.environ if name.startswith(("AWS", "TUNEBOOK_CH"))], flush=True)
    signal.pause()
trial.report(trial.resume_step + 1, {"loss": 1.0})
print(trial.resume_step, trial.resume_from.name, trial.resume_from.read_text())
"""
SAVES_FOLDERS = """
import tunebook
trial = tunebook.current_trial()
for step, loss in enumerate([5.0, 1.0, 3.0, 4.0, 2.0]):
    trial.report(step, {"loss": loss})
    folder = trial.checkpoint_folder / f"step-{step}"
    (folder / "shards").mkdir(parents=True)
    (folder / "model").write_bytes(b"m" * (step + 1))
    (folder / "shards" / "0").write_bytes(b"s")
    trial.checkpoint(step, folder)
"""
SAVES_AND_REPORTS = """
import pathlib, time, tunebook
trial = tunebook.current_trial()
path = trial.checkpoint_folder / "a"
path.write_text("weights")
trial.checkpoint(0, path)
for step in range(1, 5):
    trial.report(step, {"loss": 1.0 / step})
while not pathlib.Path("GO").exists():
    time.sleep(0.05)
"""
SAVES_LARGE = """
import signal, tunebook
trial = tunebook.current_trial()
if trial.epoch == 1:
    path = trial.checkpoint_folder / "large"
    path.write_bytes(bytes(SIZE))
    trial.checkpoint(1, path)
    signal.pause()
trial.report(2, {"loss": 1.0})
print("resumed", trial.resume_from is not None and trial.resume_from.stat().st_size)
"""
LARGE_BYTES = 96 << 20
REGISTERS_FIRST = """
import sys
if any("supervisor" in word for word in sys.orig_argv):
    from tunebook_worker import checkpoints, stores
    whole = checkpoints.Checkpoints._store
    def early(self, path, step):
        order = self._order
        uri = stores.key(order.store, trial_id=order.trial_id, epoch=order.epoch, step=step, path=path)
        self._register({"step": step}, uri, stores.stamp(path))
        return whole(self, path, step)
    checkpoints.Checkpoints._store = early
"""


def stored(live: Live, s3: S3, **environment: str) -> AbstractContextManager[Process]:
    """A worker that keeps checkpoints in the store."""
    return live.worker("", slots=1, **s3.environment, **environment)


def first_attempt(live: Live, s3: S3, **study: Any) -> int:
    """A trial with two stored checkpoints whose worker was stopped; nobody has it now."""
    with stored(live, s3):
        number = live.study(live.script(SAVES_AND_WAITS), **study)
        trial = int(live.running(number)["id"])
        until(lambda: len(live.checkpoints(trial)) == 2, "both checkpoints are registered")
    until(lambda: live.trial(trial)["state"] == "queued", "the trial was given back")
    return trial


def test_another_host_resumes_from_the_store(live: Live, s3: S3, tmp_path: Path) -> None:
    trial = first_attempt(live, s3)
    last = live.checkpoints(trial)[0]
    assert last["uri"] == f"s3://checkpoints/run/{trial}/1/2-step-2.bin"
    assert (last["metric"], last["metric_step"], last["size_bytes"]) == (8.0, 2, 9)
    assert last["content_hash"] == "sha256:" + hashlib.sha256(b"weights 2").hexdigest()
    assert s3.file(last["uri"]).read_bytes() == b"weights 2"
    assert live.log(trial) == "[]\n", "a job has no credentials of the store"
    with stored(live, s3, TUNEBOOK_DATA=str(tmp_path / "other host")):
        until(lambda: live.trial(trial)["state"] == "completed", "the other host completes it")
    assert live.log(trial) == "2 step-2.bin weights 2\n"
    assert [a["resumed_from_step"] for a in live.attempts(trial)] == [None, 2]
    assert live.points(trial) == [(1, 9.0), (2, 8.0), (3, 1.0)]
    assert not list((tmp_path / "other host").rglob("*step-2.bin")), "copies go with the attempt"


def test_a_damaged_object_is_passed_over_and_that_is_said(live: Live, s3: S3) -> None:
    trial = first_attempt(live, s3, checkpoints={"keep_last": 2})
    damaged = live.checkpoints(trial)[0]["uri"]
    s3.file(damaged).write_bytes(b"weights X")
    with stored(live, s3):
        until(lambda: live.trial(trial)["state"] == "completed", "it completes")
        attempt = live.attempts(trial)[-1]
        assert attempt["resumed_from_step"] == 1
        assert "Resumed from step 1. Checkpoint of step 2: it is damaged" in attempt["resume_note"]
        assert live.log(trial) == "1 step-1.bin weights 1\n"
        assert live.points(trial) == [(1, 9.0), (2, 1.0)], "what came after step 1 is superseded"
        row = until(lambda: removed(live, trial, 2), "the damaged one is removed")
        assert "damaged" in row["reason"]
        assert damaged not in s3.objects()


def test_a_trial_whose_checkpoints_are_all_gone_starts_over_and_says_so(live: Live, s3: S3) -> None:
    trial = first_attempt(live, s3)
    for uri in s3.objects():
        s3.file(uri).unlink()
    s3.stop()  # it remembers what it has listed
    s3.start()
    with stored(live, s3):
        until(lambda: live.trial(trial)["epoch"] == 2, "it is claimed again")
        until(lambda: live.attempts(trial)[-1]["started_at"], "it starts")
        attempt = live.attempts(trial)[-1]
        assert attempt["resumed_from_step"] is None
        assert attempt["resume_note"].startswith(
            "Started over from the beginning. Checkpoint of step 2: there"
        )


def test_the_policy_is_kept_in_the_store(live: Live, s3: S3) -> None:
    with stored(live, s3):
        study = live.study(live.script(SAVES_FOLDERS))
        (trial,) = live.ended(study)
        assert trial["state"] == "completed"
        prefix = f"s3://checkpoints/run/{trial['id']}/1"
        kept = [f"{prefix}/{step}-step-{step}/{name}" for step in (1, 4) for name in ("model", "shards/0")]
        until(lambda: s3.objects() == kept, "only the best and the last are left")
        rows = until(lambda: settled(live, trial["id"]), "all removals are confirmed")
    assert [(r["step"], r["state"], r["reason"]) for r in rows] == [
        (4, "keep", "last"),
        (3, "removed", "not among the best 1 and the last 1"),
        (2, "removed", "not among the best 1 and the last 1"),
        (1, "keep", "best"),
        (0, "removed", "not among the best 1 and the last 1"),
    ]
    assert rows[0]["content_hash"].startswith("sha256-tree:")
    with psycopg.connect(live.database_url) as connection:
        audited = connection.execute(
            "SELECT count(*) FROM audit WHERE action = 'checkpoint.remove' AND object = %s",
            (f"trial:{trial['id']}",),
        ).fetchone()
    assert audited == (3,)


def removed(live: Live, trial: int, step: int) -> dict[str, Any] | None:
    rows = live.checkpoints(trial)
    return next((row for row in rows if row["step"] == step and row["state"] == "removed"), None)


def settled(live: Live, trial: int) -> list[dict[str, Any]] | None:
    rows = live.checkpoints(trial)
    return rows if all(row["state"] in ("keep", "removed") for row in rows) else None


def test_a_store_that_is_away_holds_up_the_outcome_alone(live: Live, s3: S3, tmp_path: Path) -> None:
    s3.stop()
    program = SAVES_AND_REPORTS.replace("GO", str(tmp_path / "go"))
    with stored(live, s3) as worker:
        study = live.study(live.script(program))
        trial = int(live.running(study)["id"])
        until(lambda: len(live.points(trial)) == 4, "points arrive while the store is away")
        until(lambda: "store is away" in worker.log.read_text(), "an upload has failed")
        (tmp_path / "go").touch()
        until(lambda: not jobs(live, trial), "the job has ended")
        assert live.checkpoints(trial) == []
        assert live.trial(trial)["state"] == "running", "the outcome waits"
        s3.start()
        until(lambda: live.trial(trial)["state"] == "completed", "the outcome follows the checkpoint")
        (row,) = live.checkpoints(trial)
        assert s3.file(row["uri"]).read_text() == "weights"
        assert live.attempts(trial)[0]["reason"] == ""


def test_a_checkpoint_that_could_not_be_stored_in_time_is_named(live: Live, s3: S3, tmp_path: Path) -> None:
    s3.stop()
    (tmp_path / "go").touch()
    program = SAVES_AND_REPORTS.replace("GO", str(tmp_path / "go"))
    with stored(live, s3, TUNEBOOK_UPLOAD_SECONDS="2"):
        study = live.study(live.script(program))
        (trial,) = live.ended(study)
    assert (trial["state"], trial["objective"]) == ("completed", 0.25)
    assert trial["reason"] == "1 checkpoint not kept: 1 not stored in time."
    left = live.data / "checkpoints" / str(trial["id"]) / "1" / "a"
    assert left.read_text() == "weights", "what is not in the store stays on the host"


@pytest.fixture
def registers_first(tmp_path: Path) -> str:
    """A path with a supervisor that registers a checkpoint before it is uploaded."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(REGISTERS_FIRST)
    return str(folder)


def half_registered(live: Live, s3: S3, *, python_path: str = "") -> tuple[int, list[str]]:
    """The trial, and what the server knew of that was not whole in the store, when its supervisor was killed
    in the middle of an upload."""
    with stored(live, s3, PYTHONPATH=python_path):
        study = live.study(live.script(SAVES_LARGE.replace("SIZE", str(LARGE_BYTES))))
        trial = int(live.running(study)["id"])
        before = s3.received_bytes()
        until(lambda: s3.received_bytes() - before > LARGE_BYTES // 8, "the upload goes on")
        s3.freeze()
        (supervisor,) = {job.ppid() for job in jobs(live, trial)}
        psutil.Process(supervisor).send_signal(signal.SIGKILL)
        broken = [c["uri"] for c in live.checkpoints(trial) if not whole(s3, c["uri"])]
        s3.thaw()
        until(lambda: live.trial(trial)["state"] == "completed", "the next attempt completes it")
        return trial, broken


def test_a_supervisor_killed_in_mid_upload_leaves_nothing_half_registered(live: Live, s3: S3) -> None:
    trial, broken = half_registered(live, s3)
    assert not broken
    (row,) = live.checkpoints(trial)
    assert whole(s3, row["uri"])
    assert row["content_hash"] == "sha256:" + hashlib.sha256(bytes(LARGE_BYTES)).hexdigest()
    assert live.log(trial) == f"resumed {LARGE_BYTES}\n", "its salvage has stored what it had noted"


def test_control_a_supervisor_that_registers_first_is_caught(
    live: Live, s3: S3, registers_first: str
) -> None:
    _, broken = half_registered(live, s3, python_path=registers_first)
    assert broken


def jobs(live: Live, trial: int) -> list[psutil.Process]:
    return live.processes_of(trial, 1)


def whole(s3: S3, uri: str) -> bool:
    file = s3.file(uri)
    return file.exists() and file.stat().st_size == LARGE_BYTES

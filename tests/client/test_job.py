"""Inside a launched job: real processes, the spool they leave behind, and their exit codes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunebook.spool import Record, SpoolReader, SpoolWriter

Start = Callable[..., "subprocess.Popen[str]"]

JOB: dict[str, Any] = {
    "trial_id": 7,
    "number": 3,
    "epoch": 2,
    "study": "optimizer",
    "parameters": {"optimizer": "adam", "learning_rate": 0.01},
    "seed": 11,
    "resume": None,
    "socket": None,
}


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts Python code as a supervisor starts a job."""

    def start(code: str, *, job: dict[str, Any] | None = None, **environment: str) -> "subprocess.Popen[str]":
        place = {"checkpoint_folder": str(tmp_path / "checkpoints"), "spool": str(tmp_path / "spool")}
        (tmp_path / "checkpoints").mkdir(exist_ok=True)
        file = tmp_path / "job.json"
        file.write_text(json.dumps({**JOB, **place, **(job or {})}))
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TUNEBOOK_")}
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**clean, "TUNEBOOK_JOB": str(file), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def spooled(folder: Path) -> list[Record]:
    reader = SpoolReader(folder / "spool")
    found = reader.read()
    reader.commit()
    assert reader.finish() == 0
    return found


def finish(job: "subprocess.Popen[str]", status: int = 0) -> str:
    out, err = job.communicate(timeout=60)
    assert job.returncode == status, err
    return out


def test_sees_its_trial_and_reports(start: Start, tmp_path: Path) -> None:
    code = """
        import pathlib, tunebook
        assert tunebook.launched()
        trial = tunebook.current_trial()
        assert tunebook.current_trial() is trial
        assert (trial.id, trial.number, trial.epoch, trial.seed, trial.study) == (7, 3, 2, 11, "optimizer")
        assert trial.parameters == {"optimizer": "adam", "learning_rate": 0.01}
        assert trial.resume_from is None and trial.resume_step is None
        trial.report(0, {"train/loss": 2.3, "valid/error": float("nan")})
        path = trial.checkpoint_folder / "step-1.npz"
        path.write_bytes(b"weights")
        trial.checkpoint(1, path)
        trial.checkpoint(2, path, metric=float("nan"))
        trial.report(1, {})
        assert not trial.should_stop
    """
    finish(start(code))
    first, second, third = spooled(tmp_path)
    assert first.pop("time") > 1.7e9
    assert first == {"type": "report", "step": 0, "values": {"train/loss": 2.3, "valid/error": "NaN"}}
    assert second == {"type": "checkpoint", "step": 1, "path": str(tmp_path / "checkpoints/step-1.npz")}
    assert third == {**second, "step": 2, "metric": "NaN"}


@pytest.mark.parametrize("uri", ["/data/a b/step-5.npz", "file:///data/a%20b/step-5.npz"])
def test_resumes_from_what_was_registered(start: Start, uri: str) -> None:
    code = """
        import tunebook
        trial = tunebook.current_trial()
        print(trial.resume_step, trial.resume_from)
    """
    assert finish(start(code, job={"resume": {"step": 5, "uri": uri}})) == "5 /data/a b/step-5.npz\n"


def test_infeasible_ends_the_job_with_the_documented_code(start: Start, tmp_path: Path) -> None:
    code = """
        import tunebook
        tunebook.current_trial().infeasible("the loss is not finite at step 3")
        print("never")
    """
    assert finish(start(code), status=87) == ""
    assert spooled(tmp_path) == [{"type": "infeasible", "reason": "the loss is not finite at step 3"}]


@pytest.mark.parametrize(
    "environment",
    [{"RANK": "1"}, {"SLURM_PROCID": "3"}, {"OMPI_COMM_WORLD_RANK": "2"}, {"RANK": "1", "SLURM_PROCID": "0"}],
)
def test_only_rank_zero_reports(start: Start, tmp_path: Path, environment: dict[str, str]) -> None:
    code = """
        import tunebook
        trial = tunebook.current_trial()
        trial.report(1, {"loss": 1.0})
        trial.checkpoint(1, "/")
        trial.infeasible("from here, too")
    """
    ranks = [start(code, **environment), start(code, **dict.fromkeys(environment, "0"))]
    for job in ranks:
        finish(job, status=87)
    assert [record["type"] for record in spooled(tmp_path)] == ["report", "checkpoint", "infeasible"]


def test_other_ranks_do_not_even_look_at_what_they_report(start: Start, tmp_path: Path) -> None:
    code = """
        import tunebook
        class Expensive:
            def __float__(self):
                raise SystemExit("was computed")
        trial = tunebook.current_trial()
        trial.report(1, {"loss": Expensive()})
        trial.checkpoint(1, "/never/written/by/this/rank")
        print(trial.rank, trial.processes, trial.seed, trial.data_seed)
    """
    expected = int.from_bytes(hashlib.sha256(b"11/1").digest()[:4], "little") & 0x7FFF_FFFF
    assert finish(start(code, RANK="1", WORLD_SIZE="4")) == f"1 4 11 {expected}\n"
    assert not (tmp_path / "spool").exists()


def test_a_second_reporting_process_stays_silent(start: Start, tmp_path: Path) -> None:
    other = SpoolWriter(tmp_path / "spool")
    job = start("import tunebook; tunebook.current_trial().report(1, {'loss': 1.0})")
    _, err = job.communicate(timeout=60)
    assert job.returncode == 0
    assert "Another process of this job reports already" in err
    other.close()


def test_a_spool_that_cannot_be_written_does_not_end_training(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = "import tunebook; tunebook.current_trial().report(1, {'loss': 1.0}); print('trained')"
    assert finish(start(code, job={"spool": str(tmp_path / "file/spool")})) == "trained\n"


def test_a_stopped_job_that_looks_gets_its_grace(start: Start, tmp_path: Path) -> None:
    code = """
        import itertools, tunebook
        trial = tunebook.current_trial()
        for step in itertools.count():
            trial.report(step, {"loss": 1.0})
            if trial.should_stop:
                trial.report(step, {"saved": 1.0})
                break
            if step == 10:
                print("ready", flush=True)
    """
    job = start(code)
    assert job.stdout is not None
    job.stdout.readline()
    job.send_signal(signal.SIGTERM)
    finish(job)
    reader, last = SpoolReader(tmp_path / "spool"), {}
    while batch := reader.read():
        last = batch[-1]
        reader.commit()
    assert last["values"] == {"saved": 1.0}


def test_a_stopped_job_that_never_looks_ends_at_once(start: Start) -> None:
    code = """
        import threading, tunebook
        tunebook.current_trial()
        print("ready", flush=True)
        threading.Event().wait()
    """
    job = start(code)
    assert job.stdout is not None
    job.stdout.readline()
    job.send_signal(signal.SIGTERM)
    finish(job, status=-signal.SIGTERM)


def test_elsewhere_it_says_what_to_do_instead() -> None:
    clean = {name: value for name, value in os.environ.items() if name != "TUNEBOOK_JOB"}
    code = "import tunebook; assert not tunebook.launched(); tunebook.current_trial()"
    job = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False, timeout=60
    )
    assert "tunebook.errors.NotLaunched: No Tunebook worker started this process." in job.stderr


def test_a_wrong_argument_raises_at_once(start: Start) -> None:
    code = """
        import tunebook
        trial = tunebook.current_trial()
        for wrong in (
            lambda: trial.report("1", {"loss": 1.0}),
            lambda: trial.report(1, {"loss": "low"}),
            lambda: trial.checkpoint(1, "/no/such/file"),
            lambda: trial.infeasible(None),
        ):
            try:
                wrong()
            except (TypeError, ValueError, FileNotFoundError) as error:
                print(error)
    """
    assert finish(start(code)).splitlines() == [
        "step is str; give the training step as an integer",
        "'loss' is str; report one number",
        "checkpoint /no/such/file does not exist",
        "reason is NoneType; use a string",
    ]


def test_a_crash_loses_nothing_that_was_reported(start: Start, tmp_path: Path) -> None:
    code = """
        import os, tunebook
        trial = tunebook.current_trial()
        for step in range(100):
            trial.report(step, {"loss": 1.0})
        os._exit(3)
    """
    finish(start(code), status=3)
    assert len(spooled(tmp_path)) == 100

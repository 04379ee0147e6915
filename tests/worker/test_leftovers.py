"""What a killed worker left is ended by the next one; what only looks like it is not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tunebook_worker import leftovers
from tunebook_worker.launch import start

WEEK_SECONDS = 7 * 86_400


@pytest.fixture
def supervisor() -> Iterator[subprocess.Popen[bytes]]:
    """A hung one: it does not end when its worker is gone."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def job_folder(root: Path, **started: object) -> Path:
    folder = root / "7-1"
    folder.mkdir(parents=True)
    (folder / "started.json").write_text(json.dumps(started))
    return folder


def test_a_job_and_its_hung_supervisor_are_ended(
    tmp_path: Path, supervisor: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "SUPERVISOR_SECONDS", 0.2)
    job = start([b"sleep", b"600"], folder=str(tmp_path), environment={"PATH": os.environ["PATH"]})
    began = psutil.Process(supervisor.pid).create_time()
    job_folder(tmp_path, session=job.pid, supervisor=supervisor.pid, supervisor_started=began)
    leftovers.clear(tmp_path)
    assert job.wait(10) == -9
    assert not psutil.pid_exists(supervisor.pid)
    job.communicate()


def test_a_job_is_found_when_nobody_wrote_down_its_session(tmp_path: Path) -> None:
    folder = job_folder(tmp_path)
    environment = {"PATH": os.environ["PATH"], "TUNEBOOK_JOB": str(folder / "job.json")}
    job = start([b"sleep", b"600"], folder=str(tmp_path), environment=environment)
    leftovers.clear(tmp_path)
    assert job.wait(10) == -9
    job.communicate()


def test_numbers_that_came_round_again_harm_nobody(
    tmp_path: Path, supervisor: subprocess.Popen[bytes]
) -> None:
    began = psutil.Process(supervisor.pid).create_time()
    job_folder(tmp_path, session=supervisor.pid, supervisor=supervisor.pid, supervisor_started=began - 3600)
    leftovers.clear(tmp_path)
    assert supervisor.poll() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"session": "x", "supervisor": null}'])
def test_a_damaged_note_is_no_obstacle(tmp_path: Path, content: str) -> None:
    folder = job_folder(tmp_path)
    (folder / "started.json").write_text(content)
    leftovers.clear(tmp_path)
    assert folder.exists()


def test_an_old_folder_is_removed_and_a_new_one_kept(tmp_path: Path) -> None:
    old, new = job_folder(tmp_path), tmp_path / "8-2"
    new.mkdir()
    then = old.stat().st_mtime - WEEK_SECONDS - 60
    os.utime(old, (then, then))
    leftovers.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [new.name]


def test_the_folder_belongs_to_one_worker(tmp_path: Path) -> None:
    from tunebook_worker.commands import hold
    from tunebook_worker.options import WrongOption

    lock = hold(tmp_path / "gpu1")
    with pytest.raises(WrongOption, match=rf"'gpu1' already runs .*process {os.getpid()}"):
        hold(tmp_path / "gpu1")
    os.close(lock)
    os.close(hold(tmp_path / "gpu1"))


def test_the_python_that_runs_is_the_one_jobs_get() -> None:
    from tunebook_worker.launch import words

    assert words(["python", "train.py"], {})[0] == sys.executable.encode()

"""However a job's processes hide, they are found; and nobody else's are."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tunebook_worker.launch import start
from tunebook_worker.tree import Tree

ESCAPES = {
    "a child in the background": "os.fork()",
    "a daemon in the same session": "os.fork() and os._exit(0)",
    "a daemon in a session of its own": "os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)",
    "a child that forgets its environment": "os.fork() or os.execve('/bin/sleep', ['sleep', '600'], {})",
    "a child that ignores SIGTERM": "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork()",
}
PROGRAM = """
import os, signal, sys
{escape}
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
def test_every_process_of_a_job_is_killed(
    escape: str, tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    job_file = tmp_path / "job.json"
    environment = {"PATH": os.environ["PATH"], "TUNEBOOK_JOB": str(job_file)}
    argv = [sys.executable.encode(), b"-c", PROGRAM.format(escape=escape).encode()]
    job = start(argv, folder=str(tmp_path), environment=environment)
    assert job.stdout is not None
    assert job.stdout.readline() == b"ready\n"
    tree = Tree(job_file, session=job.pid)
    members = tree.members()
    assert members
    assert tree.kill()
    assert not tree.members()
    assert not [m for m in members if m.is_running() and m.status() != psutil.STATUS_ZOMBIE]
    assert stranger.poll() is None
    job.communicate()


def test_a_job_is_known_by_its_environment_alone(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    job_file = tmp_path / "job.json"
    environment = {"PATH": os.environ["PATH"], "TUNEBOOK_JOB": str(job_file)}
    job = start([b"sleep", b"600"], folder=str(tmp_path), environment=environment)
    other = Tree(tmp_path / "job.json2")
    assert other.members() == []
    assert [m.pid for m in Tree(job_file).members()] == [job.pid]
    assert Tree(job_file).kill()
    assert job.wait() == -9
    assert stranger.poll() is None
    job.communicate()


def test_adopted_orphans_without_any_mark_are_found(tmp_path: Path) -> None:
    """A daemon in a session of its own that cleared its environment falls to the supervisor."""
    hide = "os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)"
    daemon = f"import os; {hide}; os.execve('/bin/sleep', ['sleep', '600'], {{}})"
    program = f"""
import subprocess, sys
from pathlib import Path
from tunebook_worker.kernel import adopt_orphans, reap_adopted
from tunebook_worker.tree import Tree
adopt_orphans()
subprocess.run([sys.executable, "-c", {daemon!r}], check=True)
tree = Tree(Path({str(tmp_path / "job.json")!r}), adopting=True)
while not tree.members():
    reap_adopted(except_pid=None)
print(tree.members()[0].pid, tree.kill(), flush=True)
sys.stdin.read()
"""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert supervisor.stdout is not None
    assert select.select([supervisor.stdout], [], [], 20)[0]
    pid, killed = supervisor.stdout.readline().split()
    assert killed == b"True"
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
    supervisor.communicate()

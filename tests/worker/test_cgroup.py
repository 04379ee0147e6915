"""Control groups: where they can be made, what is in them, and how all of it ends."""

import os
import sys
from pathlib import Path

import pytest

from tests.live import until
from tunebook_worker import cgroup
from tunebook_worker.launch import start
from tunebook_worker.tree import Tree

MOUNTS = """\
22 1 0:20 / /proc rw,nosuid - proc proc rw
30 22 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
33 22 0:29 /lxc /sys/fs/cgroup/freezer rw shared:3 - cgroup cgroup rw,freezer
34 22 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
OWN = "9:name=systemd:/user/1\n6:freezer:/lxc/box\n4:memory:/elsewhere\n0::/user.slice/a.service\n"
HIDES = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execve("/bin/sleep", ["sleep", "3600"], {})
os.wait()
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_own_groups_are_found_where_they_are_mounted() -> None:
    assert cgroup.parents(MOUNTS, OWN) == [
        Path("/sys/fs/cgroup/unified/user.slice/a.service"),
        Path("/sys/fs/cgroup/freezer/box"),
        Path("/sys/fs/cgroup/systemd/user/1"),
    ]
    assert cgroup.parents("", OWN) == cgroup.parents(MOUNTS, "") == []


def test_a_note_that_names_another_group_is_not_believed(tmp_path: Path) -> None:
    job_file, note = tmp_path / "job.json", tmp_path / "cgroup"
    assert cgroup.noted(job_file, note) is None
    for name, believed in (("somebody-elses", False), (cgroup.name_of(job_file), True)):
        (tmp_path / name).mkdir()
        note.write_text(str(tmp_path / name))
        assert (cgroup.noted(job_file, note) is not None) == believed


@pytest.mark.parametrize("version", ["2", "1, frozen", "1, not frozen"])
def test_what_hides_from_every_other_mark_is_killed(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a worker whose supervisor was killed: nobody has adopted the daemon."""
    hierarchy = {"2": "", "1, frozen": "freezer", "1, not frozen": "pids"}[version]
    own = [
        line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.split(":")[1] == hierarchy
    ]
    found = cgroup.parents(Path("/proc/self/mountinfo").read_text(), "\n".join(own))
    monkeypatch.setattr(cgroup, "parents", lambda mountinfo, own: found)
    job_file = tmp_path / "job.json"
    tree = Tree(job_file)
    door = tree.enclose()
    if door is None:
        pytest.skip(f"no control group of version {version} can be made here")
    argv = [sys.executable.encode(), b"-c", HIDES.encode()]
    job = start(argv, folder=str(tmp_path), environment={"PATH": os.environ["PATH"]}, door=door)
    assert job.stdout is not None
    assert job.stdout.readline() == b"ready\n"
    others = Tree(job_file)
    until(lambda: "sleep" in {process.name() for process in others.members()}, "the daemon is found")
    assert others.kill()
    assert job.wait(20) == -9
    job.communicate()
    assert not others.members()
    others.close()
    assert not door.exists()

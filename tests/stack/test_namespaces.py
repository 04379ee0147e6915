"""Worker hosts on networks of their own: cut off and joined again, and nothing left of them afterwards."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Stack, Way, network
from stack.errors import NoNamespaces, StackFailed
from tests.live import until
from tests.stack import needs
from tests.stack.conftest import TIMINGS, Study

pytestmark = [needs.namespaces, pytest.mark.faults, pytest.mark.redis]
ROOT = Path(__file__).parents[2]
KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("spaces") / "data"
    with Stack(folder, namespaces=True, environment=TIMINGS).start() as stack:
        yield stack
    assert not ours()


def ours() -> list[str]:
    """Namespaces and links of this process."""
    listed = [
        subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        for argv in (
            ["ip", "netns", "list"],
            ["ip", "-o", "link", "show"],
        )
    ]
    return [word for word in " ".join(listed).split() if word.startswith(f"{network.PREFIX}{os.getpid()}")]


def reaches(stack: Stack, host: str, address: str) -> bool:
    assert stack.network
    argv = [*stack.network.prefix(host), sys.executable, "-c", KNOCK, *address.rsplit(":", 1)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_hosts_reach_the_proxy_and_redis_and_nothing_else(running: Stack) -> None:
    assert running.network
    for name, wanted in (("proxy", True), ("redis", True), ("postgres", False), ("server-1", False)):
        port = running.folder.ports(proxy=0)[name]
        for host in running.hosts:
            assert reaches(running, host, f"{running.network.gateway}:{port}") is wanted, (name, host)


def test_a_trial_of_a_host_that_is_cut_off_ends_on_another(running: Stack, folder: Path) -> None:
    study = Study(running, folder, trials=6)
    study.hold()
    study.wait(lambda trials: sum(t["state"] == "running" for t in trials) == 2, "both hosts train")
    running.cut("host-1")
    study.wait(lambda trials: sum(t["state"] == "running" for t in trials) == 1, "the lease of one ran out")
    study.release()
    trials = study.ended()
    assert {trial["state"] for trial in trials} == {"completed"}
    assert max(len(study.attempts(trial["id"])) for trial in trials) == 2
    for trial in trials:
        steps = study.points(trial["id"])
        assert steps == list(range(1, max(steps) + 1)), "of one attempt alone"
        assert max(steps) >= 30
    running.join("host-1")
    running.wait_for("worker-1")


@pytest.mark.parametrize("way", list(Way))
def test_each_way_cuts_and_joins(running: Stack, way: Way) -> None:
    assert running.network
    address = f"{running.network.gateway}:{running.folder.ports(proxy=0)['proxy']}"
    running.cut("host-2", way)
    try:
        assert not reaches(running, "host-2", address)
        assert reaches(running, "host-1", address)
    finally:
        running.join("host-2")
    until(lambda: reaches(running, "host-2", address), "host-2 is back")


def test_half_open_is_half(running: Stack) -> None:
    """What is sent to the host still arrives there when its own words vanish."""
    assert running.network
    script = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('0.0.0.0', 7000)); "
    script += "print('ready', flush=True)\nwhile True: print(s.recv(99).decode(), flush=True)"
    argv = [*running.network.prefix("host-2"), sys.executable, "-c", script]
    place = (running.network.gateway.removesuffix(".1") + ".3", 7000)
    with (
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as listening,
        socket.socket(type=socket.SOCK_DGRAM) as speaking,
    ):
        assert listening.stdout
        assert listening.stdout.readline() == "ready\n"
        for words, way in (("whole", None), ("half", Way.OUT)):
            if way is not None:
                running.cut("host-2", way)
            speaking.sendto(words.encode(), place)
            assert listening.stdout.readline() == f"{words}\n"
        running.join("host-2")
        listening.kill()


def owners() -> set[str]:
    """The processes that the namespaces here are named after."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(rf"\b{network.PREFIX}(\d+)n", listed))


def test_what_a_killed_stack_left_is_removed() -> None:
    script = "import os; from stack.network import Network; n = Network(['host-1']); n.open(); "
    script += "print(os.getpid(), flush=True); os._exit(1)"
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert done.stdout.strip() in owners()
    network.remove_leftovers()
    assert done.stdout.strip() not in owners()


def test_without_root_they_are_refused_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NoNamespaces, match="need root"):
        Stack(tmp_path, namespaces=True)


def test_a_stack_on_one_network_cannot_cut(tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match="namespaces=True"):
        Stack(tmp_path).cut("host-1")

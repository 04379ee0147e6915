"""`tunebook up` as one thing: it ends in order and in time, leaves nothing behind, says who is in the way."""

import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.tree import Up
from tests.live import until

pytestmark = pytest.mark.faults


def test_ctrl_c_ends_all_of_it_within_ten_seconds_and_the_next_start_goes_on(up: Up, record: Path) -> None:
    up.start()
    up.study(record, kills={0: 1, 1: 1}, trials=2)
    until(lambda: len(list(record.glob("trial-*"))) == 2, "both trials train")
    tree, begun = up.tree(), time.monotonic()
    assert up.stop(signal.SIGINT) == 0
    assert time.monotonic() - begun < 10
    assert [process for process in tree if process.is_running()] == []
    assert "killed" not in up.said()
    assert not (up.data / "address").exists()
    (record / "kill-0").touch()
    up.start()
    until(lambda: up.states() == ["completed"] * 2, "both trials end")
    released = up.rows("SELECT outcome, charged FROM attempts WHERE epoch = 1")
    assert [row["charged"] for row in released] == [False, False]  # a stop uses up no attempt


def test_a_closed_terminal_ends_it_too(up: Up) -> None:
    up.start()
    tree = up.tree()
    assert up.stop(signal.SIGHUP) == 0
    assert [process for process in tree if process.is_running()] == []


def test_kill_9_leaves_no_process_and_the_next_start_recovers(up: Up, record: Path) -> None:
    up.start()
    up.study(record, kills={0: 1, 1: 1}, trials=2)
    until(lambda: len(list(record.glob("trial-*"))) == 2, "both trials train")
    tree = up.tree()
    assert len(tree) > 8
    assert up.process
    up.process.kill()
    up.process.wait()
    until(lambda: not any(process.is_running() for process in tree), "nothing of it runs any more", 15)
    (record / "kill-0").touch()
    up.start()
    until(lambda: up.states() == ["completed"] * 2, "both trials end", 90)


def test_a_second_up_says_who_has_the_folder(shared: Up) -> None:
    assert shared.process
    address = (shared.data / "address").read_text()
    second = Up(shared.data)
    second.output = shared.output.with_suffix(".second")
    assert second.launch("--port", "0").wait(30) == 1
    for words in (str(shared.data), f"process {shared.process.pid}", "since 20", address, "--data"):
        assert second.said(words)
    assert shared.ask("/me")


def test_a_taken_port_is_named(up: Up) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert up.launch("--port", str(port)).wait(30) == 1
    assert up.said(f"Port {port} on 127.0.0.1 cannot be used")
    assert up.said("--port 0")


def test_a_control_worker_that_dies_is_started_again_and_said_so(shared: Up) -> None:
    killed = shared.kill("control")
    until(lambda: shared.said("The control ended (signal SIGKILL); starting it again in 0.5 s"), "it is said")
    until(lambda: (new := shared.part("control")) is not None and new != killed, "there is a new one")


def test_all_it_writes_is_private_and_all_it_opens_is_local(shared: Up, record: Path) -> None:
    shared.study(record, trials=1, steps=5)
    until(lambda: shared.states() == ["completed"], "a trial ends")
    written = [shared.data, *shared.data.rglob("*")]
    assert [path for path in written if open_to_others(path)] == []
    listening = {
        connection.laddr.ip
        for process in shared.tree()
        for connection in connections(process)
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def open_to_others(path: Path) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:  # Postgres removed it meanwhile
        return False
    return not stat.S_ISLNK(status.st_mode) and bool(status.st_mode & 0o077)


def connections(process: psutil.Process) -> list[Any]:
    try:
        return process.net_connections("inet")
    except psutil.NoSuchProcess:  # one of Postgres' own comes and goes
        return []
    except psutil.AccessDenied:  # workers hide from other processes of their user; to root they show
        assert os.geteuid() != 0
        return []


def test_a_study_given_to_up_runs_and_up_ends_with_it(up: Up, record: Path) -> None:
    script = Path(__file__).with_name("train.py")
    study = record / "study.toml"
    study.write_text(f"""
project = "faults"
name = "given"
goal = "ends"
objective = {{ metric = "loss", direction = "minimize", evaluation = "best" }}
sampler = {{ name = "halton", seed = 0 }}
budget = {{ trials = 2, parallel = 2, attempts = 3 }}
job = {{ template = "train", command = ["python", "{script}"], folder = "." }}
space = [
  {{ name = "record", type = "fixed", value = "{record}" }},
  {{ name = "steps", type = "fixed", value = 3 }},
  {{ name = "rate", type = "float", low = 0.1, high = 1.0 }},
]
""")
    process = up.launch("--port", "0", "--run", str(study))
    assert process.wait(90) == 0, up.said()
    assert up.said("best trial")
    assert up.said("infeasible   0 of 2")
    assert up.said("Stopped after")


def test_a_study_that_is_wrong_ends_up_with_its_status(up: Up, record: Path) -> None:
    study = record / "study.toml"
    study.write_text("name = 3\n")
    assert up.launch("--port", "0", "--run", str(study)).wait(60) not in (0, None)
    assert up.said("Stopped after")


def test_a_study_that_is_not_there_is_said_before_anything_starts(up: Up) -> None:
    assert up.launch("--run", "nowhere.toml").wait(30) == 2
    assert up.said("nowhere.toml")
    assert not up.data.exists()

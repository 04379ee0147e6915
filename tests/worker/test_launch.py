"""From a template and a configuration to a running process: the right words, and no others' secrets."""

import os
import random
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tunebook_worker.launch import LaunchFailed, start, surroundings, text, words

SEED = 20261121
SHOW_WORDS = "import sys; sys.stdout.buffer.write(open('/proc/self/cmdline', 'rb').read())"
SHOW_ENVIRONMENT = "import sys; sys.stdout.buffer.write(open('/proc/self/environ', 'rb').read())"
NASTY = [
    "-x",
    "--",
    "--name=other",
    "$(touch owned)",
    "`touch owned`",
    "; touch owned",
    "a b\tc",
    "line\nbreak\r\n",
    "'single' \"double\" \\",
    "*?[a-z]~{x,y}",
    "%s%n{0}",
    "\x01\x1b[31m\x7f",
    "äöü ∂ 🎛 \u202egnp.exe",
    "=",
    "",
]


def run(argv: Sequence[bytes], folder: Path, environment: Mapping[str, str] | None = None) -> bytes:
    job = start(argv, folder=str(folder), environment=environment or {"PATH": os.environ["PATH"]})
    output, errors = job.communicate(timeout=60)
    assert job.returncode == 0, errors
    return output


def test_a_value_reaches_the_command_byte_for_byte(tmp_path: Path) -> None:
    generator = random.Random(SEED)
    letters = "".join(NASTY) + "abcXYZ019 $`\"'\\;&|<>(){}[]!#%^~*?\n\t"
    values = NASTY + ["".join(generator.choices(letters, k=generator.randrange(60))) for _ in range(985)]
    for first in range(0, len(values), 100):
        parameters = {f"p{place}": value for place, value in enumerate(values[first : first + 100])}
        intended = [f"--{name}={value}".encode() for name, value in parameters.items()]
        seen = run(words(["python", "-c", SHOW_WORDS], parameters), tmp_path).split(b"\0")
        assert seen == [sys.executable.encode(), b"-c", SHOW_WORDS.encode(), *intended, b""]
    assert not list(tmp_path.iterdir()), "something was run by a shell"


def test_the_longest_value_that_linux_takes(tmp_path: Path) -> None:
    longest = "v" * (128 * 1024 - len("--p=") - 1)
    assert longest.encode() in run(words(["python", "-c", SHOW_WORDS], {"p": longest}), tmp_path)
    with pytest.raises(LaunchFailed, match="could not be started"):
        start(
            words(["python"], {"p": longest + "v"}),
            folder=str(tmp_path),
            environment={"PATH": os.environ["PATH"]},
        )


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_no_command_line_can_carry_is_named(value: str) -> None:
    with pytest.raises(LaunchFailed, match="An argument"):
        words(["python"], {"p": value})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-300, "1e-300"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (float("inf"), "inf"),
        (10**30, "1" + "0" * 30),
        (True, "true"),
        (False, "false"),
        ("text", "text"),
    ],
)
def test_how_a_value_is_written(value: object, shown: str) -> None:
    assert text(value) == shown
    if isinstance(value, float):
        assert float(shown) == value


def test_the_job_sees_only_what_is_allowed(tmp_path: Path) -> None:
    own = {
        "PATH": os.environ["PATH"],
        "HOME": "/home/someone",
        "WANDB_MODE": "offline",
        "AWS_SECRET_ACCESS_KEY": "canary-cloud",
        "TUNEBOOK_WORKER_TOKEN": "canary-token",
        "TUNEBOOK_BROKER_URL": "canary-broker",
    }
    allowed = ["WANDB_MODE", "TUNEBOOK_WORKER_TOKEN", "NOT_SET"]
    environment = surroundings(allowed, own, job_file=tmp_path / "job.json", gpus=["1"])
    seen = run(words(["python", "-c", SHOW_ENVIRONMENT], {}), tmp_path, environment)
    pairs = dict(entry.split("=", 1) for entry in seen.decode().split("\0") if entry)
    assert pairs == {
        "PATH": own["PATH"],
        "HOME": "/home/someone",
        "WANDB_MODE": "offline",
        "CUDA_VISIBLE_DEVICES": "1",
        "TUNEBOOK_JOB": str(tmp_path / "job.json"),
    }


def test_a_job_has_a_session_of_its_own(tmp_path: Path) -> None:
    program = "import os; print(os.getsid(0), os.getpgid(0), os.getpid())"
    session, group, pid = run(words(["python", "-c", program], {}), tmp_path).split()
    assert session == group == pid


def test_a_missing_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match="'no-such-command' was not found on PATH /nowhere"):
        start([b"no-such-command"], folder=str(tmp_path), environment={"PATH": "/nowhere"})
    with pytest.raises(LaunchFailed, match=r"'\./train\.sh' was not found"):
        start([b"./train.sh"], folder=str(tmp_path), environment={})


def test_a_file_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print()")
    with pytest.raises(LaunchFailed, match=r"'\./train\.py' is not an executable file"):
        start([b"./train.py"], folder=str(tmp_path), environment={})


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match="gone' does not exist on this host"):
        start([b"true"], folder=str(tmp_path / "gone"), environment={})
    with pytest.raises(LaunchFailed, match="'work' is not an absolute path"):
        start([b"true"], folder="work", environment={})


def test_a_job_dies_with_its_supervisor_before_anybody_was_told(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "from tunebook_worker.launch import start\n"
        f"folder, environment = {str(tmp_path)!r}, {{'PATH': os.environ['PATH']}}\n"
        "job = start([b'sleep', b'600'], folder=folder, environment=environment)\n"
        "print(job.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    job = int(parent.stdout)
    assert parent.returncode == -9
    _wait_until_ended(job)


def _wait_until_ended(pid: int) -> None:
    try:
        gone = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ready, _, _ = select.select([gone], [], [], 10)
    os.close(gone)
    assert ready, f"process {pid} outlived its parent"

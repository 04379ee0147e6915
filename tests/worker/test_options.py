"""What `tunebook worker` is told, and what it says when that is wrong."""

import os
import socket
from pathlib import Path

import pytest

from tunebook_worker.options import WrongOption, read


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "token").write_text("tbk_wrk_x\n")
    return {
        "TUNEBOOK_URL": "http://127.0.0.1:8787",
        "TUNEBOOK_WORKER_TOKEN_FILE": str(tmp_path / "token"),
        "TUNEBOOK_BROKER_URL": "redis://127.0.0.1/0",
        "TUNEBOOK_DATA": str(tmp_path),
        "CUDA_VISIBLE_DEVICES": "",
    }


def test_the_defaults(given: dict[str, str], tmp_path: Path) -> None:
    options = read(given)
    assert (options.token, options.slots, options.gpus, options.folder) == ("tbk_wrk_x", 1, (), tmp_path)
    assert options.preempt_signals == ("SIGUSR1", "SIGUSR2", "SIGXCPU")


def test_the_broker_has_its_password_from_a_file(given: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sixteen-letters-and/more\n")
    options = read({**given, "TUNEBOOK_BROKER_PASSWORD_FILE": str(tmp_path / "password")})
    assert options.broker_url == "redis://:sixteen-letters-and%2Fmore@127.0.0.1/0"


def test_flags_win_over_variables(given: dict[str, str]) -> None:
    options = read({**given, "TUNEBOOK_SLOTS": "3", "TUNEBOOK_WORKER_NAME": "a"}, slots=2, name="b")
    assert (options.slots, options.name) == (2, "b")


def test_checkpoints_are_kept_where_it_says(given: dict[str, str], tmp_path: Path) -> None:
    own = (str(tmp_path / "checkpoints"), False)
    default = read(given)
    assert (default.upload_to, default.checkpoint_roots) == ("", (own,))
    assert default.checkpoint_folder(7, 2) == tmp_path / "checkpoints/7/2"
    shared = read({**given, "TUNEBOOK_CHECKPOINTS": "/shared/"})
    assert (shared.upload_to, shared.checkpoint_roots) == ("", (own, ("/shared", True)))
    assert shared.checkpoint_folder(7, 2) == Path("/shared/7/2")
    remote = read({**given, "TUNEBOOK_CHECKPOINTS": "s3://bucket/run/"})
    assert (remote.upload_to, remote.checkpoint_roots[1]) == ("s3://bucket/run", ("s3://bucket/run", True))
    assert remote.checkpoint_folder(7, 2) == tmp_path / "checkpoints/7/2"


def test_there_is_a_slot_for_each_gpu_that_this_worker_may_use(given: dict[str, str]) -> None:
    options = read({**given, "TUNEBOOK_GPUS": "2,GPU-8f3a"})
    assert (options.slots, options.gpus) == (2, ("2", "GPU-8f3a"))


def test_locks_of_gpus_lie_in_a_folder_of_the_host(given: dict[str, str], tmp_path: Path) -> None:
    folder = read(given).gpu_locks
    assert (folder.parent, folder.name) == (tmp_path / "gpus", socket.gethostname())
    assert read({**given, "TUNEBOOK_GPU_LOCKS": "/run/locks"}).gpu_locks == Path("/run/locks")


def test_cores_are_those_that_this_process_may_use(given: dict[str, str]) -> None:
    usable = sorted(os.sched_getaffinity(0))
    options = read(given)
    assert (options.cpus, list(options.cores)) == (len(usable), usable)
    assert read({**given, "TUNEBOOK_CPUS": "1"}).cores == (usable[0],)
    more = read(given, cpus=len(usable) + 1)
    assert (more.cpus, more.cores) == (len(usable) + 1, ())


def test_labels_of_flags_win_over_those_of_the_variable(given: dict[str, str]) -> None:
    options = read({**given, "TUNEBOOK_LABELS": "zone=a, gpu=h100"}, labels=["gpu=h200"])
    assert options.labels == {"zone": "a", "gpu": "h200"}
    assert read(given).labels == {}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"TUNEBOOK_URL": ""}, "TUNEBOOK_URL"),
        ({"TUNEBOOK_BROKER_URL": " "}, "TUNEBOOK_BROKER_URL"),
        ({"TUNEBOOK_WORKER_TOKEN_FILE": ""}, "TUNEBOOK_WORKER_TOKEN_FILE"),
        ({"TUNEBOOK_WORKER_TOKEN_FILE": "/nowhere"}, "/nowhere"),
        ({"TUNEBOOK_WORKER_TOKEN_FILE": "/dev/null"}, "is empty"),
        ({"TUNEBOOK_BROKER_PASSWORD_FILE": "/nowhere"}, "TUNEBOOK_BROKER_PASSWORD_FILE"),
        ({"TUNEBOOK_BROKER_PASSWORD_FILE": "/dev/null"}, "is empty"),
        ({"TUNEBOOK_SLOTS": "0"}, "--slots 0"),
        ({"TUNEBOOK_SLOTS": "many"}, "--slots many"),
        ({"TUNEBOOK_WORKER_NAME": "../up"}, "--name"),
        ({"TUNEBOOK_BEAT_SECONDS": "soon"}, "TUNEBOOK_BEAT_SECONDS"),
        ({"TUNEBOOK_GRACE_SECONDS": "-1"}, "TUNEBOOK_GRACE_SECONDS"),
        ({"TUNEBOOK_UPLOAD_SECONDS": "0"}, "TUNEBOOK_UPLOAD_SECONDS"),
        ({"TUNEBOOK_CHECKPOINTS": "nothing://x"}, "TUNEBOOK_CHECKPOINTS"),
        ({"TUNEBOOK_GPUS": "0,1,0"}, "TUNEBOOK_GPUS names 0 twice"),
        ({"TUNEBOOK_GPUS": "../../etc"}, "TUNEBOOK_GPUS: '../../etc' is no device's name"),
        ({"TUNEBOOK_GPUS": ",".join(map(str, range(65)))}, "65 GPUs"),
        ({"TUNEBOOK_CPUS": "0"}, "--cpus 0"),
        ({"TUNEBOOK_CPUS": "half"}, "--cpus half"),
        ({"TUNEBOOK_LABELS": "gpu"}, "TUNEBOOK_LABELS 'gpu': key=value"),
        ({"TUNEBOOK_LABELS": "gpu=a b"}, "TUNEBOOK_LABELS 'gpu=a b'"),
        ({"TUNEBOOK_LABELS": "zone=a,=b"}, "TUNEBOOK_LABELS '=b'"),
        ({"TUNEBOOK_LABELS": ",".join(f"k{n}=v" for n in range(17))}, "17 labels"),
        ({"TUNEBOOK_PREEMPT_SIGNALS": "SIGKILL"}, "TUNEBOOK_PREEMPT_SIGNALS=SIGKILL"),
        ({"TUNEBOOK_PREEMPT_SIGNALS": "USR1"}, "TUNEBOOK_PREEMPT_SIGNALS=USR1"),
    ],
)
def test_a_wrong_option_is_named(given: dict[str, str], changed: dict[str, str], named: str) -> None:
    with pytest.raises(WrongOption, match=named):
        read({**given, **changed})

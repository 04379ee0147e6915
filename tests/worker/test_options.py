"""What `tunebook worker` is told, and what it says when that is wrong."""

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


def test_flags_win_over_variables(given: dict[str, str]) -> None:
    options = read({**given, "TUNEBOOK_SLOTS": "3", "TUNEBOOK_WORKER_NAME": "a"}, slots=2, name="b")
    assert (options.slots, options.name) == (2, "b")


def test_there_is_a_slot_for_each_gpu_that_this_worker_may_use(given: dict[str, str]) -> None:
    options = read({**given, "CUDA_VISIBLE_DEVICES": "2,GPU-8f3a"})
    assert (options.slots, options.gpus) == (2, ("2", "GPU-8f3a"))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"TUNEBOOK_URL": ""}, "TUNEBOOK_URL"),
        ({"TUNEBOOK_BROKER_URL": " "}, "TUNEBOOK_BROKER_URL"),
        ({"TUNEBOOK_WORKER_TOKEN_FILE": ""}, "TUNEBOOK_WORKER_TOKEN_FILE"),
        ({"TUNEBOOK_WORKER_TOKEN_FILE": "/nowhere"}, "/nowhere"),
        ({"TUNEBOOK_SLOTS": "0"}, "--slots 0"),
        ({"TUNEBOOK_SLOTS": "many"}, "--slots many"),
        ({"TUNEBOOK_WORKER_NAME": "../up"}, "--name"),
        ({"TUNEBOOK_BEAT_SECONDS": "soon"}, "TUNEBOOK_BEAT_SECONDS"),
        ({"TUNEBOOK_GRACE_SECONDS": "-1"}, "TUNEBOOK_GRACE_SECONDS"),
        ({"TUNEBOOK_PREEMPT_SIGNALS": "SIGKILL"}, "TUNEBOOK_PREEMPT_SIGNALS=SIGKILL"),
        ({"TUNEBOOK_PREEMPT_SIGNALS": "USR1"}, "TUNEBOOK_PREEMPT_SIGNALS=USR1"),
    ],
)
def test_a_wrong_option_is_named(given: dict[str, str], changed: dict[str, str], named: str) -> None:
    with pytest.raises(WrongOption, match=named):
        read({**given, **changed})

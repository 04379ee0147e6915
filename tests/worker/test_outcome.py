"""From an exit status to a state and a reason that a person understands."""

import pytest

from tunebook_worker.outcome import clean, failed, of_exit, released, stopped


@pytest.mark.parametrize(
    ("status", "last_words", "state", "reason"),
    [
        (0, "ignored", "completed", ""),
        (87, "", "infeasible", "The job ended with exit code 87: infeasible."),
        (3, "", "failed", "The job ended with exit code 3."),
        (1, "ValueError: no\x1b[31m", "failed", "The job ended with exit code 1: ValueError: no [31m"),
        (-11, "", "failed", "The job was killed by SIGSEGV."),
        (-9, "", "failed", "The job was killed by SIGKILL."),
        (-64, "", "failed", "The job was killed by SIGRTMAX."),
        (-50, "", "failed", "The job was killed by signal 50."),
    ],
)
def test_an_exit_status(status: int, last_words: str, state: str, reason: str) -> None:
    outcome = of_exit(status, last_words)
    assert (outcome.state, outcome.reason, outcome.exit_status) == (state, reason, status)


def test_what_the_job_said_holds_whatever_its_launcher_exits_with() -> None:
    for status in (0, 1, 87, -6):
        told = of_exit(status).told_infeasible("diverged\nat step 3")
        assert (told.state, told.reason) == ("infeasible", "diverged at step 3")


def test_a_cancel_or_a_drain_is_not_the_configurations_fault() -> None:
    assert stopped(-15).told_infeasible("x").state == "stopped"
    assert released("drain").told_infeasible("x").body(dropped_points=0) == {"reason": "drain"}


def test_a_reason_is_one_short_line() -> None:
    assert clean("a\r\n\x00b\u202ec   d") == "a b c d"
    assert len(failed("x" * 9999).reason) <= 500

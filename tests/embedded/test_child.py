"""One child of the tree: started again when it dies, later each time, and ended whether it wants or not."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live import until
from tunebook_server.embedded.child import Backoff, Child, ended
from tunebook_server.embedded.errors import Held
from tunebook_server.embedded.hold import Hold
from tunebook_server.embedded.kernel import Lifeline

STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen(["sleep", "1000"]).pid, flush=True)
signal.pause()
"""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    lifeline = Lifeline()
    yield lifeline
    lifeline.close()


def child(program: str, folder: Path, lifeline: Lifeline, said: list[str]) -> Child:
    argv = [sys.executable, "-c", program]
    return Child("part", argv, environment={}, log=folder / "part.log", lifeline=lifeline, say=said.append)


def test_it_is_started_again_after_its_pause_and_that_is_said(
    tmp_path: Path, lifeline: Lifeline, said: list[str]
) -> None:
    part = child("import sys; print('began'); sys.exit(3)", tmp_path, lifeline, said)
    part.start()

    def said_twice() -> bool:
        part.watch()
        return len(said) == 2

    until(said_twice, "it crashed twice")
    log = tmp_path / "part.log"
    assert said == [
        f"The part ended (exit status 3); starting it again in {pause} s. Its log: {log}"
        for pause in ("0.5", "1")
    ]
    assert part.log_tail() == "began\nbegan"
    assert log.stat().st_mode & 0o777 == 0o600


def test_pauses_double_to_a_limit_and_begin_anew_after_a_quiet_time() -> None:
    backoff = Backoff()
    assert [backoff.crashed(0.1) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.crashed(61) == 0.5


def test_one_that_ignores_sigterm_is_killed_with_its_group(
    tmp_path: Path, lifeline: Lifeline, said: list[str]
) -> None:
    part = child(STUBBORN, tmp_path, lifeline, said)
    part.start()
    until(part.log_tail, "it has a child of its own")
    grandchild = psutil.Process(int(part.log_tail()))
    part.ask_to_end()
    part.end(0.1)
    assert said == ["The part did not end in time and is killed."]
    assert not part.running
    until(lambda: not grandchild.is_running(), "its child is gone too")


def test_ends_are_described() -> None:
    assert ended(-signal.SIGKILL) == "signal SIGKILL"
    assert ended(2) == "exit status 2"


def test_a_folder_is_held_once_and_free_after_release(tmp_path: Path) -> None:
    first, second = Hold(tmp_path), Hold(tmp_path)
    first.take()
    with pytest.raises(Held, match="still starting"):
        second.take()
    first.note("http://127.0.0.1:1")
    with pytest.raises(Held, match="at http"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_a_garbled_note_still_refuses(tmp_path: Path) -> None:
    first = Hold(tmp_path)
    first.take()
    (tmp_path / "lock").write_text("{")
    with pytest.raises(Held, match="says no more"):
        Hold(tmp_path).take()
    first.release()

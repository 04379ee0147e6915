"""Questions that come while one is answered are answered together, and each gets its own answer."""

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.live import until
from tunebook_server.api.gathering import Gathering

MOST = 4


class Counter:
    """Answers with twice the number, after the gate has opened; a negative number fails its whole answer, and
    so does 13, which is nobody's fault."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen: list[list[int]] = []
        self.gathering = Gathering(
            self.answer, apart=lambda one, other: one == other, faults=ValueError, most=MOST
        )

    def answer(self, key: str, asked: Sequence[int]) -> list[int]:
        self.seen.append(list(asked))
        assert self.gate.wait(60)
        if min(asked) < 0:
            raise ValueError(f"{key}: {min(asked)}")
        if 13 in asked:
            raise OSError("away")
        return [2 * number for number in asked]

    def ask(self, loop: BlockingPortal, numbers: Sequence[int]) -> "list[Future[int]]":
        """One after another; all but the first wait for it."""
        made = []
        for number in numbers:
            made.append(loop.start_task_soon(self.gathering.ask, "key", number))
            until(lambda: self.seen and self.waiting() == len(made) - 1, f"{number} waits")
        return made

    def waiting(self) -> int:
        return sum(len(others) for others in self.gathering._waiting.values())


def test_those_who_wait_are_answered_at_once() -> None:
    counter = Counter()
    with start_blocking_portal() as loop:
        made = counter.ask(loop, range(8))
        counter.gate.set()
        assert [each.result() for each in made] == [2 * number for number in range(8)]
    assert counter.seen == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_two_that_must_be_apart_are_never_answered_at_once() -> None:
    counter = Counter()
    with start_blocking_portal() as loop:
        made = counter.ask(loop, [0, 1, 1, 2, 1])
        counter.gate.set()
        assert [each.result() for each in made] == [0, 2, 2, 4, 2]
    assert counter.seen == [[0], [1, 2], [1], [1]]


def test_nobody_pays_for_the_fault_of_another() -> None:
    counter = Counter()
    with start_blocking_portal() as loop:
        made = counter.ask(loop, [-1, 3, -2, 4])
        counter.gate.set()
        with pytest.raises(ValueError, match="key: -1"):
            made[0].result()
        with pytest.raises(ValueError, match="key: -2"):
            made[2].result()
        assert [made[place].result() for place in (1, 3)] == [6, 8]
        assert loop.call(counter.gathering.ask, "key", 5) == 10
    assert counter.gathering._waiting == {}


def test_what_is_nobodys_fault_is_everybodys() -> None:
    counter = Counter()
    with start_blocking_portal() as loop:
        made = counter.ask(loop, [0, 13, 1])
        counter.gate.set()
        assert made[0].result() == 0
        for each in made[1:]:
            with pytest.raises(OSError, match="away"):
                each.result()
    assert counter.seen == [[0], [13, 1]]


def test_another_key_does_not_wait() -> None:
    counter = Counter()
    with start_blocking_portal() as loop:
        made = [loop.start_task_soon(counter.gathering.ask, key, 1) for key in ("one", "other")]
        until(lambda: len(counter.seen) == 2, "both are being answered")
        counter.gate.set()
        assert [each.result() for each in made] == [2, 2]


def test_one_that_leaves_takes_no_answer_from_the_others() -> None:
    counter = Counter()
    with start_blocking_portal() as loop:
        made = counter.ask(loop, range(4))
        made[0].cancel()
        made[2].cancel()
        counter.gate.set()
        assert [made[place].result() for place in (1, 3)] == [2, 6]
    assert counter.seen == [[0], [1, 2, 3]]
    assert counter.gathering._waiting == {}


class Unforeseen(BaseException):
    pass


def test_nobody_waits_for_ever_for_what_was_cut_short() -> None:
    counter = Counter()

    def fail(key: str, asked: Sequence[int]) -> list[int]:
        counter.seen.append(list(asked))
        assert counter.gate.wait(60)
        raise Unforeseen

    counter.gathering._answer = fail
    with start_blocking_portal() as loop:
        made = counter.ask(loop, range(3))
        counter.gate.set()
        for each in made:
            with pytest.raises(CancelledError):
                each.result(60)
    assert counter.gathering._waiting == {}

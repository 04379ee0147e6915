"""Questions that would only wait for one another are answered together.

Whoever comes first answers for itself; those who come meanwhile wait, and one of them then answers for all of
them at once (flat combining: Hendler, Incze, Shavit and Tzafrir, SPAA 2010).
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Gathering(Generic[Key, Asked, Answer]):
    """`answer` takes a key and some questions, and gives as many answers, or raises.

    `apart` says whether two questions may not be answered at once. What raises one of `faults` together is
    tried one by one, as it may be the fault of one alone; anything else is everybody's.
    """

    def __init__(
        self,
        answer: Callable[[Key, Sequence[Asked]], Sequence[Answer]],
        *,
        apart: Callable[[Asked, Asked], bool],
        faults: type[Exception],
        most: int,
    ) -> None:
        self._answer, self._apart, self._faults, self._most = answer, apart, faults, most
        self._lock = threading.Lock()
        self._waiting: dict[Key, deque[_Question[Asked, Answer]]] = {}
        """By each key of which somebody is answering."""

    def ask(self, key: Key, asked: Asked) -> Answer:
        question: _Question[Asked, Answer] = _Question(asked)
        with self._lock:
            others = self._waiting.get(key)
            if others is None:
                self._waiting[key] = deque()
            else:
                others.append(question)
        if others is None or question.is_next():
            self._lead(key, question)
        return question.answer.result()

    def _lead(self, key: Key, first: "_Question[Asked, Answer]") -> None:
        with self._lock:
            together = self._with_others(first, self._waiting[key])
        try:
            self._settle(key, together)
        finally:
            with self._lock:
                others = self._waiting[key]
                if others:
                    others.popleft().lead()
                else:
                    del self._waiting[key]

    def _with_others(
        self, first: "_Question[Asked, Answer]", others: "deque[_Question[Asked, Answer]]"
    ) -> "list[_Question[Asked, Answer]]":
        together = [first]
        for question in list(others):
            if len(together) == self._most:
                break
            if not any(self._apart(each.asked, question.asked) for each in together):
                together.append(question)
                others.remove(question)
        return together

    def _settle(self, key: Key, together: "Sequence[_Question[Asked, Answer]]") -> None:
        try:
            answers = self._answer(key, [question.asked for question in together])
        except BaseException as error:
            for question in together:
                if len(together) > 1 and isinstance(error, self._faults):
                    self._settle(key, [question])
                else:
                    question.answer.set_exception(error)
            return
        for question, answer in zip(together, answers, strict=True):
            question.answer.set_result(answer)


class _Question(Generic[Asked, Answer]):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answer: Future[Answer] = Future()
        self._leads = False
        self._woken = threading.Event()
        self.answer.add_done_callback(lambda _: self._woken.set())

    def is_next(self) -> bool:
        """Waits until it is answered, or its own turn has come to answer."""
        self._woken.wait()
        return self._leads

    def lead(self) -> None:
        self._leads = True
        self._woken.set()

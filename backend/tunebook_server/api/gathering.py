"""Questions that would only wait for one another are answered together.

Those who come while others are answered wait, and one thread then answers all of them at once (flat
combining: Hendler, Incze, Shavit and Tzafrir, SPAA 2010). They wait on the event loop, where they keep
neither the interpreter from that thread nor threads from other requests.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from anyio import to_thread

Key = TypeVar("Key", bound=Hashable)
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, eq=False)
class _Question(Generic[Asked, Answer]):
    asked: Asked
    answer: "asyncio.Future[Answer]"


class Gathering(Generic[Key, Asked, Answer]):
    """`answer` takes a key and some questions, and gives as many answers, or raises; it runs in a thread.

    `apart` says whether two questions may not be answered at once. What raises one of `faults` together is
    tried one by one, as it may be the fault of one alone; anything else is everybody's. All of it belongs to
    one event loop.
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
        self._waiting: dict[Key, deque[_Question[Asked, Answer]]] = {}
        """By each key of which some are being answered."""
        self._answering: set[asyncio.Task[None]] = set()

    async def ask(self, key: Key, asked: Asked) -> Answer:
        question: _Question[Asked, Answer] = _Question(asked, asyncio.get_running_loop().create_future())
        if key in self._waiting:
            self._waiting[key].append(question)
        else:
            self._waiting[key] = deque([question])
            task = asyncio.create_task(self._answer_all(key))
            self._answering.add(task)  # the loop itself keeps no hold of it
            task.add_done_callback(self._answering.discard)
        return await question.answer

    async def _answer_all(self, key: Key) -> None:
        waiting, together = self._waiting[key], list[_Question[Asked, Answer]]()
        try:
            while waiting:
                together = self._next(waiting)
                await self._settle(key, together)
        finally:
            del self._waiting[key]
            for question in (*together, *waiting):  # some only where this was cut short: nobody else would
                question.answer.cancel()

    def _next(self, waiting: "deque[_Question[Asked, Answer]]") -> "list[_Question[Asked, Answer]]":
        together = [waiting.popleft()]
        for question in list(waiting):
            if len(together) == self._most:
                break
            if not any(self._apart(each.asked, question.asked) for each in together):
                together.append(question)
                waiting.remove(question)
        return together

    async def _settle(self, key: Key, together: "Sequence[_Question[Asked, Answer]]") -> None:
        try:
            answers = await to_thread.run_sync(self._answer, key, [question.asked for question in together])
        except Exception as error:
            for question in together:
                if len(together) > 1 and isinstance(error, self._faults):
                    await self._settle(key, [question])
                elif not question.answer.done():
                    question.answer.set_exception(error)
            return
        for question, answer in zip(together, answers, strict=True):
            if not question.answer.done():  # whoever asked may have left
                question.answer.set_result(answer)

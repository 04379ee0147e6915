"""The thread that starts the processes and looks after them.

The kernel ends a child with the thread that started it, so all are started by one that lives as long as they
may: whoever uses the stack may be a test with threads of its own.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeVar

LOOK_SECONDS = 0.1

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Part(Protocol):
    """A service as a process."""

    def start(self) -> None: ...
    def watch(self) -> None:
        """Starts it again when it died."""

    def ask_to_end(self) -> None: ...
    def end(self, timeout_seconds: float) -> None: ...
    @property
    def pid(self) -> int: ...


class Keeper(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="keeper", daemon=True)
        self._work: queue.Queue[tuple[Callable[[], Any], Future[Any]] | None] = queue.Queue()
        self._watched: list[Part] = []

    def do(self, work: Callable[[], T]) -> T:
        """In the keeper's thread; its result, or what it raised."""
        future: Future[T] = Future()
        self._work.put((work, future))
        return future.result()

    def start_part(self, part: Part) -> None:
        def begin() -> None:
            part.start()
            self._watched.append(part)

        self.do(begin)

    def end_parts(self, parts: list[Part], timeout_seconds: float) -> None:
        """All are asked first, then each is waited for."""

        def finish() -> None:
            ending = [part for part in parts if part in self._watched]
            for part in ending:
                self._watched.remove(part)
                part.ask_to_end()
            for part in ending:
                part.end(timeout_seconds)

        self.do(finish)

    def close(self) -> None:
        """No part may be left."""
        self._work.put(None)
        self.join()

    def run(self) -> None:
        while True:
            item: tuple[Callable[[], Any], Future[Any]] | None = None
            with suppress(queue.Empty):
                item = self._work.get(timeout=LOOK_SECONDS)
                if item is None:
                    return
            if item is not None:
                _fulfil(*item)
            for part in self._watched:
                try:
                    part.watch()
                except Exception:
                    _log.exception("a service could not be started again; the next look tries it")


def _fulfil(work: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)

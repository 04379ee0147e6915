"""Tells the server that the trial is alive, and measures how long the server has not agreed."""

import threading
from typing import Protocol

from tunebook.api import Api
from tunebook.errors import ApiError, Cancelled, Fenced, Forbidden, NotFound, Unauthenticated, Unreachable
from tunebook_worker.clock import boot_seconds
from tunebook_worker.orders import Order

RETRY_SHARE = 0.25
"""Of the beat, after one that failed."""


class Listener(Protocol):
    def cancelled(self) -> None: ...
    def paused(self) -> None: ...
    def fenced(self, reason: str) -> None: ...


def is_final(error: ApiError) -> bool:
    """The trial is not ours any more. A proxy's own 404 or 403 says nothing about that."""
    final = isinstance(error, Fenced | Forbidden | NotFound | Unauthenticated)
    return final and not error.code.startswith("http_")


class Beats(threading.Thread):
    """POST :heartbeat every `beat_seconds`; calls the listener from its own thread."""

    def __init__(self, api: Api, order: Order, *, listener: Listener) -> None:
        super().__init__(name="beats", daemon=True)
        self._api, self._path, self._epoch = api, f"/trials/{order.trial_id}:heartbeat", order.epoch
        self._beat_seconds, self._listener = float(order.claim["beat_seconds"]), listener
        self._ended = threading.Event()
        self.agreed_at = order.claimed_at
        """`boot_seconds()` just before the last request that the server answered with "yours"."""
        # What follows a dead supervisor does not know when that one was answered last: it beats at once.
        self._due_at = boot_seconds() + (0.0 if order.salvage else self._beat_seconds)

    def end(self) -> None:
        self._ended.set()

    def silent_seconds(self) -> float:
        return boot_seconds() - self.agreed_at

    def run(self) -> None:
        while not self._ended.wait(max(self._due_at - boot_seconds(), 0.0)):
            self._beat()

    def beat_if_due(self) -> None:
        """For a time without threads; before `start`."""
        if not self._ended.is_set() and boot_seconds() >= self._due_at:
            self._beat()

    def _beat(self) -> None:
        sent = boot_seconds()
        pause = self._beat_seconds
        try:
            answer = self._api.post(self._path, {"epoch": self._epoch}, timeout_seconds=self._timeout())
        except Cancelled:
            self.agreed_at = sent
            self._listener.cancelled()
        except Unreachable:
            pause *= RETRY_SHARE
        except ApiError as error:
            if is_final(error):
                self._ended.set()
                self._listener.fenced(str(error))
            pause *= RETRY_SHARE
        else:
            self.agreed_at = sent
            if isinstance(answer, dict) and answer.get("cancel"):
                self._listener.cancelled()
            elif isinstance(answer, dict) and answer.get("pause"):
                self._listener.paused()
        self._due_at = boot_seconds() + pause

    def _timeout(self) -> float:
        return min(10.0, max(1.0, self._beat_seconds))

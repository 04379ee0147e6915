"""What an attempt says to the server, said until it is answered."""

import threading
from collections.abc import Mapping
from typing import Any

from tunebook.api import Api, full_jitter
from tunebook.errors import ApiError, Busy, Cancelled, Unreachable
from tunebook_worker.beats import Listener, is_final
from tunebook_worker.clock import boot_seconds
from tunebook_worker.log import warn
from tunebook_worker.orders import Order

MAX_WAIT_SECONDS = 10.0
REFUSALS = frozenset({400, 409, 413, 422})
"""About the content. Any other answer (a proxy's page, a redirect) may change: the same is sent again."""


class Over(Exception):
    """Nothing more is accepted, or time is up."""


class Refused(Exception):
    """This content will never be accepted."""


class Posting:
    """For one thread; `wake` and `give_up_after` may be called from any."""

    def __init__(self, api: Api, order: Order, *, listener: Listener) -> None:
        self._api, self._listener = api, listener
        self.trial, self._epoch = f"/trials/{order.trial_id}", order.epoch
        self._wake = threading.Event()
        self._until: float | None = None

    def wake(self) -> None:
        self._wake.set()

    def give_up_after(self, seconds: float) -> None:
        """From now on, at most; an earlier limit stays."""
        until = boot_seconds() + seconds
        if self._until is None or until < self._until:
            self._until = until
            self._wake.set()

    def post(self, verb: str, body: Mapping[str, object]) -> Any:
        """Until the server has answered; raises Refused, or Over when it said that this is the end."""
        attempt = 0
        while True:
            self.check_time()
            try:
                answer = self._api.post(f"{self.trial}:{verb}", {"epoch": self._epoch, **body})
            except Cancelled:
                self._listener.cancelled()
                return None
            except (Busy, Unreachable) as error:
                self.wait(attempt, getattr(error, "retry_after_seconds", None) or 0.0)
            except ApiError as error:
                if is_final(error):
                    self._listener.fenced(str(error))
                    raise Over from error
                if error.status in REFUSALS:
                    raise Refused(str(error)) from error
                self.wait(attempt)
            else:
                self._heed(answer)
                return answer
            attempt += 1

    def _heed(self, answer: object) -> None:
        """A scheduler's word comes with the answer to the report that it judged."""
        end = answer.get("end") if isinstance(answer, dict) else None
        if end == "pause":
            self._listener.paused()
        elif end:
            self._listener.cancelled()

    def wait(self, attempt: int, asked_seconds: float = 0.0) -> None:
        """Before try `attempt` + 1."""
        # All that came at once were asked to wait for the same time: the jitter goes on top of it.
        self.pause(min(asked_seconds, MAX_WAIT_SECONDS) + full_jitter(attempt, cap=MAX_WAIT_SECONDS))

    def check_time(self) -> None:
        if self._until is not None and boot_seconds() >= self._until:
            warn("time is up; what was recorded stays on disk", trial=self.trial)
            raise Over

    def pause(self, seconds: float) -> None:
        if self._until is not None:
            seconds = min(seconds, max(0.0, self._until - boot_seconds()))
        self._wake.wait(seconds)
        self._wake.clear()

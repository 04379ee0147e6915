"""The places for trials on this host: which are taken, by what, and how they are emptied."""

import queue
import socket
import threading

from tunebook.api import Api
from tunebook.errors import ApiError, Conflict, NotFound, Unreachable
from tunebook_worker.attempt import Attempt
from tunebook_worker.clock import boot_seconds
from tunebook_worker.log import note, warn
from tunebook_worker.options import Options
from tunebook_worker.orders import Order, Word


class Slots:
    """Thread-safe. `take` runs one trial to its end in the calling thread."""

    def __init__(self, options: Options, api: Api) -> None:
        self._options, self._api = options, api
        self._lock = threading.Lock()
        self._free = list(range(options.slots))
        self._taken: dict[int, Attempt | None] = {}
        """By trial id; None while the claim is on its way."""
        self._word: Word | None = None

    def take(self, trial_id: int) -> None:
        """Claims the trial and runs it; a hint for a trial that is taken, ended or unknown does nothing."""
        slot = self._reserve(trial_id)
        if slot is None:
            return
        try:
            order = self._claim(trial_id, slot)
            if order is not None:
                self._run(order)
        finally:
            with self._lock:
                del self._taken[trial_id]
                self._free.append(slot)

    def running(self) -> list[int]:
        with self._lock:
            return sorted(trial_id for trial_id, attempt in self._taken.items() if attempt is not None)

    def close(self, word: Word) -> None:
        """No trial is taken any more, and those that run hear the word."""
        with self._lock:
            self._word = word
            attempts = [attempt for attempt in self._taken.values() if attempt is not None]
        for attempt in attempts:
            attempt.say(word)

    def _reserve(self, trial_id: int) -> int | None:
        with self._lock:
            if self._word is not None or trial_id in self._taken or not self._free:
                note("hint dropped", trial_id=trial_id, draining=self._word is not None)
                return None
            self._taken[trial_id] = None
            return self._free.pop(0)

    def _claim(self, trial_id: int, slot: int) -> Order | None:
        claimed_at = boot_seconds()
        try:
            claim = self._api.post(f"/trials/{trial_id}:claim", {"host": socket.gethostname()})
        except (Conflict, NotFound):
            return None  # hints are repeated on purpose; most find the trial taken
        except (ApiError, Unreachable) as error:
            warn("claim failed", trial_id=trial_id, detail=str(error))
            return None
        epoch = int(claim["epoch"])
        note("claimed", trial_id=trial_id, epoch=epoch, slot=slot)
        return Order(
            claim=claim,
            url=self._api.url,
            folder=str(self._options.jobs_folder / f"{trial_id}-{epoch}"),
            checkpoint_folder=str(self._options.checkpoint_folder(trial_id, epoch)),
            store=self._options.upload_to,
            upload_seconds=self._options.upload_seconds,
            claimed_at=claimed_at,
            grace_seconds=self._options.grace_seconds,
            gpu=self._options.gpu(slot),
        )

    def _run(self, order: Order) -> None:
        attempt = Attempt(order)
        with self._lock:
            self._taken[order.trial_id] = attempt
            word = self._word
        if word is not None:  # it came between the hint and here
            attempt.say(word)
        attempt.run()


class Closing(threading.Thread):
    """Carries a signal handler's wish to the slots: a handler must not wait for a lock."""

    def __init__(self, slots: Slots) -> None:
        super().__init__(name="closing", daemon=True)
        self._slots = slots
        self.words: queue.SimpleQueue[Word] = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            word = self.words.get()
            note("shutting down", how=word.value)
            self._slots.close(word)

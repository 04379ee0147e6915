"""The places for trials: filled while the server has any that fit, emptied when the worker ends."""

import queue
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tunebook.api import Api
from tunebook.errors import ApiError, NotFound, Unreachable
from tunebook_worker.clock import boot_seconds
from tunebook_worker.launchers.launcher import EngineDown, JobState, Launcher, Refused
from tunebook_worker.launchers.local import LocalLauncher
from tunebook_worker.log import note, warn
from tunebook_worker.options import Options
from tunebook_worker.orders import Order, Word
from tunebook_worker.room import Room, Share


@dataclass(frozen=True, slots=True)
class Taken:
    order: Order
    share: Share


class Slots(threading.Thread):
    """One thread claims, watches and frees. It looks when nudged (a hint, an attempt that ended), and now and
    then without: hints are a hurry, not a need."""

    def __init__(
        self, options: Options, api: Api, *, nudge: threading.Event, has_room_again: Callable[[], None]
    ) -> None:
        super().__init__(name="slots", daemon=True)
        self._options, self._api = options, api
        self._nudge, self._has_room_again = nudge, has_room_again
        self._room = Room(slots=options.slots, gpus=options.gpus, cpus=options.cpus)
        self._launcher: Launcher = LocalLauncher(changed=nudge.set)
        self._lock = threading.Lock()
        self._taken: dict[str, Taken] = {}
        """By the launcher's name of the job."""
        self._word: Word | None = None
        self._key = ""
        """Of a claim whose answer is not known."""
        self.empty = threading.Event()
        """Set when the word was given and nothing runs any more."""
        self.worker_id = 0

    @property
    def has_room(self) -> bool:
        return self._room.free_slots > 0

    def running(self) -> list[int]:
        with self._lock:
            return sorted({taken.order.trial_id for taken in self._taken.values()})

    def close(self, word: Word) -> None:
        """No trial is taken any more, and those that run hear the word."""
        with self._lock:
            self._word = word
            jobs = list(self._taken)
        for job in jobs:
            self._launcher.tell(job, word)
        self._nudge.set()

    def run(self) -> None:
        while True:
            self._free_ended()
            self._fill()
            with self._lock:
                if self._word is not None and not self._taken:
                    self.empty.set()
                    return
            self._nudge.wait(min(self._launcher.poll_seconds, self._options.beat_seconds))
            self._nudge.clear()

    def _free_ended(self) -> None:
        try:
            states = self._launcher.poll(list(self._taken))
        except EngineDown as error:
            warn("the engine does not answer", detail=str(error))
            return
        for job in [job for job in self._taken if states.get(job) in (JobState.ENDED, None)]:
            with self._lock:
                taken = self._taken.pop(job)
            self._room.give_back(taken.share)

    def _fill(self) -> None:
        while self._word is None and self.has_room:
            claimed_at = boot_seconds()
            claim = self._claim()
            if claim is None:
                self._has_room_again()
                return
            self._start(claim, claimed_at)

    def _claim(self) -> dict[str, Any] | None:
        self._key = self._key or uuid.uuid4().hex
        free = {"gpus": self._room.free_gpus, "cpus": self._room.free_cpus}
        body = {"key": self._key, "host": socket.gethostname(), **free}
        try:
            claim: dict[str, Any] | None = self._api.post(f"/workers/{self.worker_id}:claim", body)["claim"]
        except NotFound:
            return None  # registered again with the next beat
        except (ApiError, Unreachable) as error:
            warn("claim failed", detail=str(error))
            return None
        self._key = ""
        return claim

    def _start(self, claim: dict[str, Any], claimed_at: float) -> None:
        template = claim["template"] or {}
        share = self._room.take(template.get("resources", {}))
        order = self._order(claim, share, claimed_at)
        note("claimed", trial_id=order.trial_id, epoch=order.epoch, gpus=share.gpus)
        try:
            job = self._launcher.submit(order)
        except (EngineDown, Refused) as error:
            warn("the trial was not started", trial_id=order.trial_id, epoch=order.epoch, detail=str(error))
            self._room.give_back(share)
            return
        with self._lock:
            self._taken[job] = Taken(order, share)
            word = self._word
        if word is not None:  # it came while the claim was on its way
            self._launcher.tell(job, word)

    def _order(self, claim: dict[str, Any], share: Share, claimed_at: float) -> Order:
        trial_id, epoch = int(claim["trial"]["id"]), int(claim["epoch"])
        return Order(
            claim=claim,
            url=self._api.url,
            folder=str(self._options.jobs_folder / f"{trial_id}-{epoch}"),
            checkpoint_folder=str(self._options.folder / "checkpoints" / str(trial_id) / str(epoch)),
            claimed_at=claimed_at,
            grace_seconds=self._options.grace_seconds,
            preempt_signals=list(self._options.preempt_signals),
            gpus=list(share.gpus) if self._options.gpus else None,
            cpus=share.cpus,
        )


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

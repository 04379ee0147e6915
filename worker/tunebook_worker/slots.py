"""The places for trials: filled while the server has any that fit, emptied when the worker ends."""

import queue
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from tunebook.api import Api
from tunebook.errors import ApiError, NotFound, Unreachable
from tunebook_worker.clock import boot_seconds
from tunebook_worker.device_locks import DeviceLocks
from tunebook_worker.launchers import choice
from tunebook_worker.launchers.launcher import JobState, Launcher
from tunebook_worker.log import crash, note, warn
from tunebook_worker.options import Options
from tunebook_worker.orders import Order, Word
from tunebook_worker.quota import Quota
from tunebook_worker.room import Room, Share

LOOK_SECONDS = 1.0
"""Between two looks at GPUs that are locked elsewhere."""


@dataclass(frozen=True, slots=True)
class Taken:
    order: Order
    share: Share
    waits: bool = False
    """In the queue of an engine: nobody beats for it but this worker."""


class Slots(threading.Thread):
    """One thread claims, watches and frees. It looks when nudged (a hint, an attempt that ended), and now and
    then without: hints are a hurry, not a need."""

    def __init__(
        self, options: Options, api: Api, *, nudge: threading.Event, has_room_again: Callable[[], None]
    ) -> None:
        super().__init__(name="slots", daemon=True)
        self._options, self._api = options, api
        self._nudge, self._has_room_again = nudge, has_room_again
        self._room = _room(options)
        self._launcher: Launcher = choice.launcher(options, changed=nudge.set)
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

    def waiting(self) -> list[dict[str, int]]:
        """The attempts to beat for."""
        with self._lock:
            orders = [taken.order for taken in self._taken.values() if taken.waits]
        return [{"trial_id": order.trial_id, "epoch": order.epoch} for order in orders]

    def withdraw(self, trial_ids: Iterable[int]) -> None:
        """Cancelled, or another's now: one that waits shall not start; one that runs hears so by itself."""
        ids = set(trial_ids)
        with self._lock:
            jobs = [job for job, taken in self._taken.items() if taken.waits and taken.order.trial_id in ids]
        for job in jobs:
            self._launcher.tell(job, Word.STOP)
        if jobs:
            self._nudge.set()

    def adopt(self) -> None:
        """Before the first beat: what an earlier run of this worker left in an engine."""
        for order in self._launcher.adopt():
            share = self._room.take((order.claim["template"] or {}).get("resources", {}))
            self._taken[order.name] = Taken(order, share, waits=True)

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
            try:
                self._free_ended()
                self._fill()
            except Exception:  # whatever it was: trials that run must be watched, and others taken
                crash("a look at the slots failed; the next one comes with the next beat")
            with self._lock:
                if self._word is not None and not self._taken:
                    self.empty.set()
                    return
            self._wait(min(self._launcher.poll_seconds, self._options.beat_seconds))
            self._nudge.clear()

    def _wait(self, seconds: float) -> None:
        """For a nudge; a GPU that another worker, or an attempt of a dead one, lets go of gives none."""
        until = boot_seconds() + seconds
        while (left := until - boot_seconds()) > 0 and not self._nudge.wait(min(left, LOOK_SECONDS)):
            if self._room.is_wider:
                return

    def _free_ended(self) -> None:
        states = self._launcher.poll(list(self._taken))
        with self._lock:
            ended = [job for job in self._taken if states.get(job) in (JobState.ENDED, None)]
            gone = [self._taken.pop(job) for job in ended]
            for job, taken in self._taken.items():
                self._taken[job] = replace(taken, waits=states[job] is JobState.WAITING)
        for taken in gone:
            self._room.give_back(taken.share)

    def _fill(self) -> None:
        while self._word is None and self.has_room and self._launcher.takes:
            claimed_at = boot_seconds()
            self._room.look()
            claim = self._claim()
            if claim is None:
                self._has_room_again()
                break
            self._start(claim, claimed_at)
        if not self._key:  # else the answer is on its way still, and may be a trial for what was offered
            self._room.let_go()

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
        with self._lock:  # before it is submitted: an engine may take its time, and the lease runs
            self._taken[order.name] = Taken(order, share, waits=self._options.engine is not None)
        job = self._launcher.submit(order)
        with self._lock:
            word = self._word
        if word is not None:  # it came while the claim was on its way
            self._launcher.tell(job, word)

    def _order(self, claim: dict[str, Any], share: Share, claimed_at: float) -> Order:
        trial_id, epoch = int(claim["trial"]["id"]), int(claim["epoch"])
        return Order(
            claim=claim,
            url=self._api.url,
            folder=str(self._options.jobs_folder / f"{trial_id}-{epoch}"),
            checkpoint_folder=str(self._options.checkpoint_folder(trial_id, epoch)),
            store=self._options.upload_to,
            upload_seconds=self._options.upload_seconds,
            claimed_at=claimed_at,
            grace_seconds=self._options.grace_seconds,
            preempt_signals=list(self._options.preempt_signals),
            gpus=list(share.gpus) if self._options.gpus else None,
            cpus=share.cpus,
            locks=list(share.locks),
            cores=list(share.cores),
        )


def _room(options: Options) -> Room | Quota:
    if options.engine is None:
        return Room(
            slots=options.slots,
            gpus=options.gpus,
            cpus=options.cpus,
            cores=options.cores,
            locks=DeviceLocks(options.gpu_locks),
        )
    return Quota(slots=options.slots, gpus=options.engine.gpus, cpus=options.engine.cpus)


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

"""The checkpoints of one attempt, on their way into the store: copied first, registered after.

What is to be kept is noted on disk before the job's record of it is let go, so that a supervisor that dies
costs no checkpoint; what the server knows of is complete, because it is told last.
"""

import contextlib
import json
import threading
from pathlib import Path
from typing import Any

from tunebook.api import Api
from tunebook.spool import Record
from tunebook_worker import stores
from tunebook_worker.beats import Listener
from tunebook_worker.log import note, warn
from tunebook_worker.orders import JobFolder, Order
from tunebook_worker.posting import Over, Posting, Refused
from tunebook_worker.stores import Missing, Stamp, StoreAway, Unusable

IDLE_SECONDS = 5.0
OUTCOME_SHARE = 0.25
"""Of the time that is left, kept for telling the outcome."""


class Checkpoints(threading.Thread):
    """Stores and registers in the order reported, beside the thread that sends points and output."""

    def __init__(self, api: Api, order: Order, *, folder: JobFolder, listener: Listener) -> None:
        super().__init__(name="checkpoints", daemon=True)
        self._posting = Posting(api, order, listener=listener)
        self._order, self._notes = order, folder.checkpoints
        self._closing = threading.Event()
        self._copies: dict[int, Path] = {}
        """By step what the job wrote, while the store has it too."""
        self.failures: list[str] = []
        """What could not be kept, and why."""

    def add(self, number: int, record: Record) -> None:
        """Noted under this number, for good, when it returns. Raises OSError."""
        self._notes.mkdir(mode=0o700, exist_ok=True)
        place = self._notes / f"{number:020d}.json"
        part = place.with_suffix(".part")
        part.write_text(json.dumps(record))
        part.replace(place)
        self._posting.wake()

    def finish(self, within_seconds: float) -> None:
        """Nothing is added any more: end when all is registered, or time is up."""
        if not self._closing.is_set():
            self._closing.set()
            self._posting.give_up_after(within_seconds)
            self._posting.wake()

    def give_up_after(self, seconds: float) -> None:
        self._posting.give_up_after(seconds * (1 - OUTCOME_SHARE))

    def unfinished(self) -> int:
        """How many are noted and not registered."""
        return len(list(self._notes.glob("*.json")))

    def run(self) -> None:
        with contextlib.suppress(Over):
            while True:
                closing = self._closing.is_set()  # looked at first: what was added before it is then seen
                noted = sorted(self._notes.glob("*.json"))
                for place in noted:
                    self._keep(place)
                if closing and not noted:
                    return
                if not noted:
                    self._posting.check_time()
                    self._posting.pause(IDLE_SECONDS)

    def _keep(self, place: Path) -> None:
        record = json.loads(place.read_text())
        path, step = Path(record["path"]), int(record["step"])
        try:
            uri, stamp = self._store(path, step)
            self._register(record, uri, stamp)
        except (Missing, Unusable, Refused, OSError) as error:
            warn("a checkpoint is not kept", trial=self._posting.trial, step=step, detail=str(error))
            self.failures.append(f"step {step}: {error}")
        place.unlink()

    def _store(self, path: Path, step: int) -> tuple[str, Stamp]:
        """Tries again for as long as there is time."""
        if not self._order.store:
            return str(path), stores.stamp(path)
        epoch, trial_id = self._order.epoch, self._order.trial_id
        uri = stores.key(self._order.store, trial_id=trial_id, epoch=epoch, step=step, path=path)
        attempt = 0
        while True:
            self._posting.check_time()
            try:
                stamp = stores.upload(path, uri)
            except StoreAway as error:
                warn("the checkpoint store is away", trial=self._posting.trial, step=step, detail=str(error))
                self._posting.wait(attempt)
                attempt += 1
            else:
                self._copies[step] = path
                return uri, stamp

    def _register(self, record: dict[str, Any], uri: str, stamp: Stamp) -> None:
        body = {
            "step": record["step"],
            "uri": uri,
            "metric": record.get("metric"),
            "size_bytes": stamp.size_bytes,
            "content_hash": stamp.content_hash,
        }
        answer = self._posting.post("checkpoint", body)
        if isinstance(answer, dict):
            self._drop_copies(answer.get("given_up", ()))

    def _drop_copies(self, given_up: list[int]) -> None:
        """What the store need not keep, the job's folder need not either."""
        own = Path(self._order.checkpoint_folder)
        for step in given_up:
            path = self._copies.pop(step, None)
            if path is None or path in self._copies.values() or not path.is_relative_to(own):
                continue
            with contextlib.suppress(OSError):
                stores.remove_local(path)
                note("a copy is removed", trial=self._posting.trial, step=step, path=str(path))

"""From the spools on disk to the server: start, points, checkpoints, log, and at the very end the outcome.

A batch is on disk under its number before it is sent and until it is acknowledged, so a server that is away,
for however long, and a supervisor that dies cost nothing and double nothing.
"""

import base64
import threading
from collections.abc import Mapping
from typing import Any

from tunebook.api import Api, full_jitter
from tunebook.errors import ApiError, Busy, Cancelled, Unreachable
from tunebook.reporting import columns
from tunebook.spool import Record, SpoolReader
from tunebook_worker.beats import Listener, is_final
from tunebook_worker.clock import boot_seconds
from tunebook_worker.log import warn
from tunebook_worker.orders import JobFolder, Order
from tunebook_worker.outcome import Outcome

SEND_SECONDS = 1.0
"""Points of one second travel together."""
MAX_WAIT_SECONDS = 10.0
REFUSALS = frozenset({400, 409, 413, 422})
"""About the content. Any other answer (a proxy's page, a redirect) may change: the same is sent again."""
BATCH_RECORDS = 1000
LOG_BYTES = 128 << 10
"""A batch of at least this much output is followed by the next at once."""
PIECES = 4096
"""Numbers kept free for a batch: piece 0 is all of it, 1… its single records, when the server refuses all."""


class _Over(Exception):
    """Nothing more is accepted, or time is up."""


class _Refused(Exception):
    """This content will never be accepted."""


class Delivery(threading.Thread):
    """One attempt's sender; `conclude` gives it the outcome, and it ends as soon as all is acknowledged."""

    def __init__(self, api: Api, order: Order, *, folder: JobFolder, listener: Listener) -> None:
        super().__init__(name="delivery", daemon=True)
        self._api, self._listener = api, listener
        self._trial, self._epoch = f"/trials/{order.trial_id}", order.epoch
        self._events, self._points = SpoolReader(folder.events), SpoolReader(folder.points)
        self._log = SpoolReader(folder.log)
        self._wake = threading.Event()
        self._outcome: Outcome | None = None
        self._until: float | None = None
        self._announcement: Mapping[str, object] | None = None
        self._infeasible: str | None = None
        self.acknowledged = False
        self.over = False
        """Ended without that: the trial is not ours any more, or there was no time left."""
        self.refused = 0
        """Reports and checkpoints that the server would not take for what is in them."""

    def announce(self, environment: Mapping[str, object], host: str) -> None:
        """Before `run`: the job was started here."""
        self._announcement = {"environment": environment, "host": host}

    def conclude(self, outcome: Outcome) -> None:
        """All spools are complete; `outcome` goes last."""
        self._outcome = outcome
        self._wake.set()

    def give_up_after(self, seconds: float) -> None:
        """From now on, at most; an earlier limit stays."""
        until = boot_seconds() + seconds
        if self._until is None or until < self._until:
            self._until = until
            self._wake.set()

    def run(self) -> None:
        try:
            self._announce()
            while not self.acknowledged:
                self._send()
        except _Over:
            self.over = True

    def _send(self) -> None:
        """One batch of each spool; then the outcome, when there is one and nothing is left before it."""
        concluding = self._outcome is not None
        try:
            more = self._reports(self._events, 0) | self._reports(self._points, 1) | self._logs()
            if concluding and not more:
                self._conclude()
        except OSError as error:
            warn("the spool cannot be read or written", trial=self._trial, detail=str(error))
            self._check_time()
            more = concluding = False
        if not more and not concluding:
            self._pause(SEND_SECONDS)

    def _announce(self) -> None:
        try:
            if self._announcement is not None:
                self._post("start", self._announcement)
        except _Refused as error:
            warn("the server refused the start", trial=self._trial, detail=str(error))

    def _conclude(self) -> None:
        assert self._outcome is not None
        lost = self.refused + sum(spool.finish() + spool.dropped for spool in (self._events, self._points))
        if lost or self._log.finish():
            warn("records were lost", trial=self._trial, points=lost, output=self._log.damaged)
        outcome = self._outcome
        if self._infeasible is not None:
            outcome = outcome.told_infeasible(self._infeasible)
        try:
            if outcome.verb != "leave":
                self._post(outcome.verb, outcome.body(dropped_points=lost))
        except _Refused as error:
            warn("the outcome was refused", trial=self._trial, verb=outcome.verb, detail=str(error))
            raise _Over from error
        self.acknowledged = True

    def _reports(self, spool: SpoolReader, channel: int) -> bool:
        """Sends one batch; True when there may be another at once."""
        batch = spool.read(BATCH_RECORDS)
        if not batch:
            return False
        number = (spool.sequence * 2 + channel) * PIECES
        try:
            self._report(number, batch)
        except _Refused:
            self._one_by_one(number, batch)
        for record in batch:
            self._mark(record)
        spool.commit()
        return len(batch) >= BATCH_RECORDS or self._outcome is not None

    def _report(self, sequence: int, batch: list[Record]) -> None:
        series = columns(batch)
        if series:
            self._post("report", {"sequence": sequence, "series": series})

    def _one_by_one(self, number: int, batch: list[Record]) -> None:
        """One wrong record must not cost the others."""
        for piece, record in enumerate(batch, start=1):
            try:
                self._report(number + piece, [record])
            except _Refused as error:
                self.refused += 1
                warn(
                    "the server refused a record",
                    trial=self._trial,
                    detail=str(error),
                    step=record.get("step"),
                )

    def _mark(self, record: Record) -> None:
        if record["type"] == "infeasible":
            self._infeasible = str(record["reason"])
        if record["type"] != "checkpoint":
            return
        try:
            self._post("checkpoint", {"step": record["step"], "uri": record["path"], "metric": None})
        except _Refused as error:
            self.refused += 1
            warn("the server refused a checkpoint", trial=self._trial, detail=str(error), step=record["step"])

    def _logs(self) -> bool:
        batch = self._log.read(BATCH_RECORDS)
        if not batch:
            return False
        content = b"".join(base64.b64decode(record["content"]) for record in batch)
        body = {"sequence": self._log.sequence, "content_base64": base64.b64encode(content).decode()}
        try:
            self._post("log", body)
        except _Refused as error:
            warn("the server refused output", trial=self._trial, detail=str(error), size_bytes=len(content))
        self._log.commit()
        return len(batch) >= BATCH_RECORDS or len(content) >= LOG_BYTES or self._outcome is not None

    def _post(self, verb: str, body: Mapping[str, object]) -> Any:
        """Until the server has answered; raises _Refused, or _Over when it said that this is the end."""
        attempt = 0
        while True:
            self._check_time()
            try:
                return self._api.post(f"{self._trial}:{verb}", {"epoch": self._epoch, **body})
            except Cancelled:
                self._listener.cancelled()
                return None
            except (Busy, Unreachable) as error:
                self._wait(attempt, getattr(error, "retry_after_seconds", None) or 0.0)
            except ApiError as error:
                if is_final(error):
                    self._listener.fenced(str(error))
                    raise _Over from error
                if error.status in REFUSALS:
                    raise _Refused(str(error)) from error
                self._wait(attempt, 0.0)
            attempt += 1

    def _wait(self, attempt: int, asked_seconds: float) -> None:
        # All that came at once were asked to wait for the same time: the jitter goes on top of it.
        self._pause(min(asked_seconds, MAX_WAIT_SECONDS) + full_jitter(attempt, cap=MAX_WAIT_SECONDS))

    def _check_time(self) -> None:
        if self._until is not None and boot_seconds() >= self._until:
            warn("the server did not answer in time; what was recorded stays on disk", trial=self._trial)
            raise _Over

    def _pause(self, seconds: float) -> None:
        if self._until is not None:
            seconds = min(seconds, max(0.0, self._until - boot_seconds()))
        self._wake.wait(seconds)
        self._wake.clear()

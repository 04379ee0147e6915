"""From the spools on disk to the server: start, points, checkpoints, log, and at the very end the outcome.

A batch is on disk under its number before it is sent and until it is acknowledged, so a server that is away,
for however long, and a supervisor that dies cost nothing and double nothing.
"""

import base64
import threading
from collections.abc import Mapping

from tunebook.api import Api
from tunebook.reporting import columns
from tunebook.spool import Record, SpoolReader
from tunebook_worker.beats import Listener
from tunebook_worker.checkpoints import Checkpoints
from tunebook_worker.log import warn
from tunebook_worker.orders import JobFolder, Order
from tunebook_worker.outcome import Outcome
from tunebook_worker.posting import Over, Posting, Refused

SEND_SECONDS = 1.0
"""Points of one second travel together."""
CHECKPOINT_SECONDS = 0.1
"""Between two looks whether all checkpoints are stored."""
BATCH_RECORDS = 1000
LOG_BYTES = 128 << 10
"""A batch of at least this much output is followed by the next at once."""
PIECES = 4096
"""Numbers kept free for a batch: piece 0 is all of it, 1… its single records, when the server refuses all."""
NAMED_FAILURES = 3


class Delivery(threading.Thread):
    """One attempt's sender; `conclude` gives it the outcome, and it ends as soon as all is acknowledged."""

    def __init__(self, api: Api, order: Order, *, folder: JobFolder, listener: Listener) -> None:
        super().__init__(name="delivery", daemon=True)
        self._posting = Posting(api, order, listener=listener)
        self._trial = self._posting.trial
        self._checkpoints = Checkpoints(api, order, folder=folder, listener=listener)
        self._upload_seconds = order.upload_seconds
        self._events, self._points = SpoolReader(folder.events), SpoolReader(folder.points)
        self._log = SpoolReader(folder.log)
        self._outcome: Outcome | None = None
        self._announcement: Mapping[str, object] | None = None
        self._infeasible: str | None = None
        self.acknowledged = False
        self.over = False
        """Ended without that: the trial is not ours any more, or there was no time left."""
        self.refused = 0
        """Reports that the server would not take for what is in them."""

    @property
    def unkept(self) -> int:
        """Checkpoints that were not stored and registered."""
        return self._checkpoints.unfinished() + len(self._checkpoints.failures)

    def announce(
        self, environment: Mapping[str, object], host: str, resumed: Mapping[str, object] | None = None
    ) -> None:
        """Before `run`: the job was started here, and where it goes on if that is not as claimed."""
        where = {"resumed": resumed} if resumed else {}
        self._announcement = {"environment": environment, "host": host, **where}

    def conclude(self, outcome: Outcome) -> None:
        """All spools are complete; `outcome` goes last."""
        self._outcome = outcome
        self._posting.wake()

    def give_up_after(self, seconds: float) -> None:
        """From now on, at most; an earlier limit stays."""
        self._checkpoints.give_up_after(seconds)
        self._posting.give_up_after(seconds)

    def hurry_checkpoints(self, seconds: float) -> None:
        """The outcome waits for them no longer than that: the trial is not wanted any more."""
        self._checkpoints.give_up_after(seconds)

    def run(self) -> None:
        self._checkpoints.start()
        try:
            self._announce()
            while not self.acknowledged:
                self._send()
        except Over:
            self.over = True

    def _send(self) -> None:
        """One batch of each spool; then the outcome, when there is one and nothing is left before it."""
        concluding = self._outcome is not None
        try:
            more = self._reports(self._events, 0) | self._reports(self._points, 1) | self._logs()
            if concluding and not more:
                # Checkpoints go on while points and output are through; the outcome waits for them.
                self._checkpoints.finish(self._upload_seconds)
                if self._checkpoints.is_alive():
                    self._posting.pause(CHECKPOINT_SECONDS)
                else:
                    self._conclude()
        except OSError as error:
            warn("the spool cannot be read or written", detail=str(error))
            self._posting.check_time()
            more = concluding = False
        if not more and not concluding:
            self._posting.pause(SEND_SECONDS)

    def _announce(self) -> None:
        try:
            if self._announcement is not None:
                self._posting.post("start", self._announcement)
        except Refused as error:
            warn("the server refused the start", detail=str(error))

    def _conclude(self) -> None:
        assert self._outcome is not None
        lost = self.refused + sum(spool.finish() + spool.dropped for spool in (self._events, self._points))
        if lost or self._log.finish():
            warn("records were lost", points=lost, output=self._log.damaged)
        outcome = self._outcome
        if self._infeasible is not None:
            outcome = outcome.told_infeasible(self._infeasible)
        if self.unkept:
            outcome = outcome.remarked(self._unkept_words())
        try:
            if outcome.verb != "leave":
                self._posting.post(outcome.verb, outcome.body(dropped_points=lost))
        except Refused as error:
            warn("the outcome was refused", verb=outcome.verb, detail=str(error))
            raise Over from error
        self.acknowledged = True

    def _reports(self, spool: SpoolReader, channel: int) -> bool:
        """Sends one batch; True when there may be another at once."""
        batch = spool.read(BATCH_RECORDS)
        if not batch:
            return False
        number = (spool.sequence * 2 + channel) * PIECES
        try:
            self._report(number, batch)
        except Refused:
            self._one_by_one(number, batch)
        for piece, record in enumerate(batch):
            self._mark(number + piece, record)
        spool.commit()
        return len(batch) >= BATCH_RECORDS or self._outcome is not None

    def _report(self, sequence: int, batch: list[Record]) -> None:
        series = columns(batch)
        if series:
            self._posting.post("report", {"sequence": sequence, "series": series})

    def _one_by_one(self, number: int, batch: list[Record]) -> None:
        """One wrong record must not cost the others."""
        for piece, record in enumerate(batch, start=1):
            try:
                self._report(number + piece, [record])
            except Refused as error:
                self.refused += 1
                warn(
                    "the server refused a record",
                    detail=str(error),
                    step=record.get("step"),
                )

    def _mark(self, number: int, record: Record) -> None:
        if record["type"] == "infeasible":
            self._infeasible = str(record["reason"])
        elif record["type"] == "checkpoint":
            self._checkpoints.add(number, record)

    def _unkept_words(self) -> str:
        failures, unfinished = self._checkpoints.failures, self._checkpoints.unfinished()
        late = [f"{unfinished} not stored in time"] if unfinished else []
        named = "; ".join([*failures[:NAMED_FAILURES], *late])
        return f"{self.unkept} checkpoint{'' if self.unkept == 1 else 's'} not kept: {named}"

    def _logs(self) -> bool:
        batch = self._log.read(BATCH_RECORDS)
        if not batch:
            return False
        content = b"".join(base64.b64decode(record["content"]) for record in batch)
        body = {"sequence": self._log.sequence, "content_base64": base64.b64encode(content).decode()}
        try:
            self._posting.post("log", body)
        except Refused as error:
            warn("the server refused output", detail=str(error), size_bytes=len(content))
        self._log.commit()
        return len(batch) >= BATCH_RECORDS or len(content) >= LOG_BYTES or self._outcome is not None

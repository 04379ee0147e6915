"""From a spool to the server: batches with sequence numbers, beats, retries; all of it in the background."""

import contextlib
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunebook.api import Api, full_jitter
from tunebook.errors import (
    ApiError,
    Busy,
    Cancelled,
    Fenced,
    Forbidden,
    NotFound,
    TunebookError,
    Unauthenticated,
    Unreachable,
)
from tunebook.spool import Hold, Record, SpoolReader
from tunebook.trial import log

SEND_SECONDS = 1.0
"""Points of one second travel together."""
MAX_WAIT_SECONDS = 30.0
PIECES = 4096
"""Sequence numbers kept for each batch: its first for all of it, the others for its records one by one."""
SENT, REFUSED = ".sent", ".refused"
"""Ends of the names of folders that are spools no more."""
FLUSH_SECONDS = 4.5
"""How long an exit may wait for the network; with the interpreter's own end it stays below five."""


def columns(records: Sequence[Record]) -> dict[str, dict[str, list[Any]]]:
    """The reports among the records as {metric: {"step": […], "value": […]}}, in the order reported."""
    series: dict[str, dict[str, list[Any]]] = {}
    for record in records:
        if record["type"] == "report":
            for metric, value in record["values"].items():
                column = series.setdefault(metric, {"step": [], "value": []})
                column["step"].append(record["step"])
                column["value"].append(value)
    return series


class Sender:
    """Sends one spool to one trial, batch by batch; each is applied once, however often it is sent."""

    def __init__(self, api: Api, *, trial_id: int, epoch: int, spool: SpoolReader) -> None:
        self._api, self._trial, self._epoch, self.spool = api, f"/trials/{trial_id}", epoch, spool
        self.finished = False
        """The server has acknowledged the end of the trial."""
        self.stopping = False
        """The server has said that this attempt is to end."""
        self.refused = 0
        """Records that the server would not take for what is in them."""

    def send(self) -> bool:
        """Sends the next batch; False when there was none.

        Raises Unreachable or Busy (try again) or what ended the trial for us; the batch then stays spooled.
        """
        batch = self.spool.read()
        if not batch:
            return False
        series, refused = columns(batch), 0
        if series:
            refused = self._report(batch, series)
        for record in batch:
            if record["type"] == "checkpoint":
                where = {"step": record["step"], "uri": record["path"], "metric": record.get("metric")}
                refused += not self._post("checkpoint", where)
            elif record["type"] == "finish":
                lost = record["dropped"] + self.spool.damaged + self.refused + refused
                end = {"state": record["state"], "reason": record["reason"], "dropped_points": lost}
                refused += not self._post("finish", end)
                self.finished = True
            elif record["type"] == "release":
                self._post("release", {"reason": record["reason"]})
                self.finished = True
        self.spool.commit()
        self.refused += refused
        return True

    def _report(self, batch: Sequence[Record], series: Mapping[str, object]) -> int:
        """How many records the server would not take: one wrong record does not cost the others."""
        number = self.spool.sequence * PIECES
        if self._post("report", {"sequence": number, "series": series}):
            return 0
        reports = [record for record in batch if record["type"] == "report"]
        return sum(
            not self._post("report", {"sequence": number + piece, "series": columns([record])})
            for piece, record in enumerate(reports, start=1)
        )

    def beat(self) -> None:
        """Raises Cancelled once the trial was cancelled, Fenced once it is somebody else's."""
        answer = self._api.post(f"{self._trial}:heartbeat", {"epoch": self._epoch})
        self.stopping = self.stopping or bool(isinstance(answer, dict) and answer.get("pause"))

    def close(self) -> None:
        self._api.close()

    def _post(self, verb: str, content: dict[str, Any]) -> bool:
        """False when the server refuses this for what is in it: sent again it would be refused again."""
        try:
            answer = self._api.post(f"{self._trial}:{verb}", {"epoch": self._epoch, **content})
            if verb == "report":
                if not (isinstance(answer, dict) and "points" in answer):
                    raise Busy(200, "not_tunebook", "The answer to a report was not Tunebook's.")
                self.stopping = self.stopping or bool(answer.get("end"))
        except (Busy, Fenced, Unauthenticated, Forbidden, NotFound):
            raise
        except ApiError as error:
            log.error("The server refused a %s of %s: %s", verb, self._trial, error)
            return False
        return True


class Courier(threading.Thread):
    """The background thread of one trial in a loop of one's own: sends what is spooled, and beats.

    It lets go of the spool when it ends, so that nobody else here sends what it is sending.
    """

    def __init__(self, sender: Sender, hold: Hold, *, beat_seconds: float, name: str) -> None:
        super().__init__(name=f"tunebook {name}", daemon=True)
        self.sender, self._hold, self._beat_seconds = sender, hold, beat_seconds
        self._beat_at = time.monotonic() + beat_seconds
        self._attempt = 0
        self._wake, self._closing, self._done = threading.Event(), threading.Event(), threading.Event()
        self._leaving = threading.Event()
        self.cancelled = threading.Event()
        self.lost = threading.Event()
        """The trial was given to somebody else or has ended: nothing more is accepted from here."""

    def flush(self, timeout_seconds: float) -> bool:
        """Sends the rest and ends the thread; False when that takes longer (it then goes on)."""
        self._closing.set()
        self._wake.set()
        return self._done.wait(timeout_seconds)

    def leave(self) -> None:
        """Ends the thread as soon as what is on its way has come back: the next client sends the rest."""
        self._leaving.set()
        self._wake.set()

    def run(self) -> None:
        try:
            self._work()
            self._tidy()
        finally:
            self._hold.let_go()
            self._done.set()

    def _work(self) -> None:
        while not self._is_over():
            closing = self._closing.is_set()  # looked at first: what came before it is then in the spool
            wait_seconds = self._deliver()
            if wait_seconds is None and closing:
                break
            self._beat()
            idle_seconds = SEND_SECONDS if wait_seconds is None else wait_seconds
            self._wake.wait(min(idle_seconds, self._beat_seconds))
            self._wake.clear()

    def _is_over(self) -> bool:
        return self.lost.is_set() or self.sender.finished or self._leaving.is_set()

    def _tidy(self) -> None:
        folder = self.sender.spool.folder
        if self.sender.finished and self._closing.wait(FLUSH_SECONDS):
            remove(folder)
        elif self.lost.is_set():
            set_aside(folder)
        self.sender.close()

    def _deliver(self) -> float | None:
        """None when the spool is empty; else the seconds until the next try."""
        try:
            while not self._is_over() and self.sender.send():
                self._attempt = 0
                self._beat()  # a loop may report faster than we send: the lease must not wait for the end
        except (Unreachable, Busy) as error:
            asked = getattr(error, "retry_after_seconds", None) or 0.0
            self._attempt += 1
            return min(asked, MAX_WAIT_SECONDS) + full_jitter(self._attempt)  # all were asked for the same
        except TunebookError as error:
            self._lose(error)
        except OSError as error:
            log.warning("The spool %s cannot be read: %s", self.sender.spool.folder, error)
            return MAX_WAIT_SECONDS
        return None

    def _beat(self) -> None:
        if self.sender.stopping:
            self.cancelled.set()
        if self.sender.finished or time.monotonic() < self._beat_at:
            return
        try:
            self.sender.beat()
        except Cancelled:
            self.cancelled.set()
        except (Unreachable, Busy):
            return
        except TunebookError as error:
            self._lose(error)
        self._beat_at = time.monotonic() + self._beat_seconds

    def _lose(self, error: TunebookError) -> None:
        log.warning("%s: nothing more is accepted from this process: %s", self.name, error)
        self.lost.set()


def set_aside(folder: Path) -> None:
    """Keeps what the server would not take, under a name that nobody sends from again."""
    with contextlib.suppress(OSError):
        folder.rename(folder.with_name(f"{folder.name}{REFUSED}"))


def remove(folder: Path) -> None:
    """All at once for others, who may be looking for spools just now; held by the caller."""
    with contextlib.suppress(OSError):
        folder = folder.rename(folder.with_name(f"{folder.name}{SENT}"))
    shutil.rmtree(folder, ignore_errors=True)

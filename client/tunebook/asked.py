"""A trial that a loop of one's own has asked for."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

from tunebook.reporting import FLUSH_SECONDS, Courier
from tunebook.spool import Record, SpoolWriter
from tunebook.trial import Trial, checked_reason

EndState = Literal["completed", "infeasible", "stopped", "failed"]


class AskedTrial(Trial):
    """A trial that this process asked for. As a context manager it finishes itself:

    completed at the end of the block, failed (with the error as reason) when the block raises, stopped when
    the trial was cancelled.
    """

    def __init__(self, claim: Mapping[str, Any], spool: SpoolWriter, courier: Courier) -> None:
        super().__init__(claim, spool)
        self.asked_as: tuple[int, str] = claim["asked_as"]
        """The study's id, and the name that it was asked for under."""
        self._writer, self._courier = spool, courier
        self._end = ""
        """The state that it was finished in, "released", or "left" when its client was closed first."""

    @property
    def should_stop(self) -> bool:
        return self._courier.cancelled.is_set() or self._courier.lost.is_set()

    @property
    def settled(self) -> bool:
        """The server has acknowledged the end, or wants nothing more from this process."""
        return self._courier.sender.finished or self._courier.lost.is_set()

    def finish(self, state: EndState = "completed", reason: str = "") -> bool:
        """Ends the trial, waiting at most five seconds for the server; the first call counts.

        True when the server has acknowledged it, False when it is still on its way, came too late, or was
        finished in another state before.
        """
        if state not in ("completed", "infeasible", "stopped", "failed"):
            raise ValueError(f"state is {state!r}; use completed, infeasible, stopped or failed")
        end = {"state": state, "reason": checked_reason(reason), "dropped": self._writer.dropped}
        return self._finish(state, {"type": "finish", **end})

    def release(self, reason: str = "") -> bool:
        """Gives the trial back, which uses up no attempt: who asks next gets it, with its last checkpoint.

        True when the server has acknowledged it, as `finish` does.
        """
        return self._finish("released", {"type": "release", "reason": checked_reason(reason)})

    def deliver_end(self, timeout_seconds: float) -> bool:
        """Where it has ended: waits until the server knows; False when that takes longer."""
        return not self._end or self._writer.inherited or self._courier.flush(timeout_seconds)

    def leave(self, timeout_seconds: float) -> None:
        """Sends what is spooled without ending the trial, which whoever asks for it again goes on with."""
        self._end = self._end or "left"
        self._writer.end()
        self._courier.flush(timeout_seconds)
        self._courier.leave()

    def infeasible(self, reason: str) -> bool:
        """These values cannot work (diverged, out of memory): a result, not an error."""
        return self.finish("infeasible", reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end:
            return
        if error is None:
            self.finish("stopped" if self.should_stop else "completed")
        elif isinstance(error, Exception):
            self.finish("failed", f"{type(error).__name__}: {error}")
        else:
            self.finish("stopped", type(error).__name__)

    def let_go(self) -> None:
        """Releases what has not ended; one that is to stop ends, and one of another process is not ours."""
        if self._end or self._writer.inherited:
            return
        if self.should_stop:
            self.finish("stopped")
        else:
            self.release("its loop was left")

    def _finish(self, end: str, record: Record) -> bool:
        if self._writer.inherited or self._end not in ("", end):
            self._complain(record["type"])
            return False
        if not self._end:
            self._end = end
            self._append(record, last=True)
            self._writer.end()
        self._courier.flush(FLUSH_SECONDS)
        return self._courier.sender.finished

    def _why_never(self) -> str:
        if self._end == "left" and not self._writer.inherited:
            return "was left to the next client here when its own was closed"
        return super()._why_never()

"""How an attempt ended, in the server's words."""

import signal
from dataclasses import dataclass, replace

from tunebook import INFEASIBLE_EXIT_CODE

REASON_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """`verb` "finish" ends the attempt in `state`; "release" gives the trial back, uncharged; "leave"
    says nothing, and the lease runs out. `exit_status` is left out for a job that Tunebook ended: the signal
    was ours."""

    verb: str
    state: str = ""
    reason: str = ""
    exit_status: int | None = None
    preempted: bool = False
    """With "release": the cluster took the machine away."""

    def told_infeasible(self, reason: str) -> "Outcome":
        """The job said so itself: that holds whatever its launcher made of the exit code."""
        if self.verb != "finish" or self.state == "stopped":
            return self
        return replace(self, state="infeasible", reason=clean(reason))

    def remarked(self, remark: str) -> "Outcome":
        """With something that should be known beside the reason."""
        reason = f"{self.reason} ({remark})" if self.reason else f"{remark[:1].upper()}{remark[1:]}."
        return replace(self, reason=clean(reason))

    def body(self, *, dropped_points: int) -> dict[str, object]:
        if self.verb == "release":
            return {"reason": self.reason, **({"preempted": True} if self.preempted else {})}
        return {
            "state": self.state,
            "reason": self.reason,
            "exit_status": self.exit_status,
            "dropped_points": dropped_points,
        }


def failed(reason: str, exit_status: int | None = None) -> Outcome:
    return Outcome("finish", "failed", clean(reason), exit_status)


def stopped(exit_status: int | None) -> Outcome:
    return Outcome("finish", "stopped", "cancelled", exit_status)


def released(reason: str) -> Outcome:
    return Outcome("release", reason=reason)


def preempted(reason: str) -> Outcome:
    return Outcome("release", reason=clean(reason), preempted=True)


def left() -> Outcome:
    """The worker died: the server counts such attempts as lost, to find trials that kill their workers."""
    return Outcome("leave")


def of_exit(status: int, last_words: str = "") -> Outcome:
    """`status` as subprocess gives it: negative for a signal. `last_words`: the last line on stderr."""
    if status == 0:
        return Outcome("finish", "completed", exit_status=0)
    if status == INFEASIBLE_EXIT_CODE:
        reason = f"The job ended with exit code {status}: infeasible."
        return Outcome("finish", "infeasible", reason, status)
    said = f": {last_words}" if last_words else "."
    return failed(f"The job {exit_words(status)}{said}", status)


def exit_words(status: int) -> str:
    if status < 0:
        return f"was killed by {_signal_name(-status)}"
    return f"ended with exit code {status}"


def clean(text: str) -> str:
    """One line without control characters, short enough for a table."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(line.split())[:REASON_LIMIT]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""Errors named once, here; the API numbers them in one table (`api/problems.py`).

TunebookError
 ├─ Invalid          a value is wrong: names the field, what is wrong and what would be right
 ├─ NotFound         no such object, or not yours
 ├─ Conflict         the object is not in a state that allows this
 │   ├─ Fenced       the trial has moved on to a newer epoch (or ended): stop writing
 │   └─ Mismatch     the same number or key came before with other content
 ├─ Gone             the trial was cancelled: stop working
 ├─ Drained          the worker shall take nothing until somebody lets it: ask again later
 ├─ Stale            If-Match names an older revision
 ├─ Unauthenticated  no valid credential
 ├─ Forbidden        a valid credential without this right
 ├─ Limited          too many tries: wait `retry_after_seconds`
 └─ Unavailable      the database is away, busy or full: the same request may work later
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong value: `field` as a dotted path ("space.2.low"), what is wrong, what would be right."""

    field: str
    problem: str
    remedy: str = ""


class TunebookError(Exception):
    code = "error"

    def __init__(self, message: str, *, field: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy


class Invalid(TunebookError):
    """Carries every fault found, not only the first."""

    code = "invalid"

    def __init__(
        self, message: str, *, field: str = "", remedy: str = "", faults: tuple[Fault, ...] = ()
    ) -> None:
        super().__init__(message, field=field, remedy=remedy)
        self.faults = faults or (Fault(field, message, remedy),)


class NotFound(TunebookError):
    code = "not_found"


class Conflict(TunebookError):
    code = "conflict"


class Fenced(Conflict):
    code = "fenced"


class Mismatch(Conflict):
    code = "mismatch"


class Gone(TunebookError):
    code = "cancelled"


class Drained(TunebookError):
    code = "drained"


class Stale(TunebookError):
    code = "stale"


class Unauthenticated(TunebookError):
    code = "unauthenticated"


class Forbidden(TunebookError):
    code = "forbidden"


class Limited(TunebookError):
    code = "too_many_tries"

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message, remedy=f"Wait {retry_after_seconds:.0f} s and try again.")
        self.retry_after_seconds = retry_after_seconds


class Unavailable(TunebookError):
    """`code`: unavailable, busy or storage_full."""

    def __init__(self, message: str, *, code: str = "unavailable", retry_after_seconds: float = 1.0) -> None:
        super().__init__(message, remedy="Send the same request again later.")
        self.code = code
        self.retry_after_seconds = retry_after_seconds

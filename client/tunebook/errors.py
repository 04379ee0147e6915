"""What can go wrong, by name.

TunebookError
 ├─ NotLaunched         `current_trial()` in a process that no worker started
 ├─ NoCredentials       no server address or no token was found
 ├─ Unreachable         no answer from the server (refused, timed out, cut off)
 └─ ApiError            the server answered, and said no: `.status`, `.code`, `.detail`, `.faults`
     ├─ Invalid         a value is wrong (400, 413, 422)
     ├─ Unauthenticated the token is missing, wrong or expired (401)
     ├─ Forbidden       the token is good, but lacks this right (403)
     ├─ NotFound        no such object (404)
     ├─ Conflict        the object is not in a state that allows this (409)
     │   └─ Fenced      the trial has moved on to a newer epoch, or has ended: stop writing (409)
     ├─ Cancelled       the trial was cancelled: stop working (410)
     └─ Busy            try again later (408, 425, 429, any 5xx, or an answer that is not Tunebook's)

`report()` raises none of these: it never touches the network.
"""

from collections.abc import Mapping

FAULTS_SHOWN = 10
"""In the text of an error; `.faults` has all of them."""


class TunebookError(Exception):
    """The root of everything that Tunebook raises on purpose."""


class NotLaunched(TunebookError):
    """`current_trial()` was called in a process that no Tunebook worker started."""


class NoCredentials(TunebookError):
    """No server address or no token was found."""


class Unreachable(TunebookError):
    """The server gave no answer: refused, timed out, or cut off half-way."""


class ApiError(TunebookError):
    """The server's own refusal; `problem` is its RFC 9457 document."""

    def __init__(
        self, status: int, code: str, detail: str, problem: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(detail or f"{code} ({status})")
        self.status = status
        self.code = code
        self.detail = detail
        self.problem: Mapping[str, object] = problem or {}
        self.retry_after_seconds: float | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """So that it comes out of another process whole."""
        parts = (self.status, self.code, self.detail, self.problem)
        return type(self), parts, {"retry_after_seconds": self.retry_after_seconds}

    @property
    def faults(self) -> tuple[Mapping[str, str], ...]:
        """Each wrong value as {"field", "problem", "remedy"}, where the server named one."""
        faults = self.problem.get("faults")
        if isinstance(faults, list) and faults:
            return tuple({k: str(v) for k, v in f.items()} for f in faults if isinstance(f, dict))
        if not self.problem.get("field"):
            return ()
        field, remedy = str(self.problem["field"]), str(self.problem.get("remedy", ""))
        return ({"field": field, "problem": self.detail, "remedy": remedy},)


class Invalid(ApiError):
    """A value is wrong; `.faults` names each one, and what would be right, and so does its text."""

    def __str__(self) -> str:
        lines = [line for fault in self.faults if (line := _line(fault, self.detail))]
        if len(lines) > FAULTS_SHOWN:
            lines[FAULTS_SHOWN:] = [f"… and {len(lines) - FAULTS_SHOWN} more: see .faults"]
        if not self.faults and self.problem.get("remedy"):
            lines = [str(self.problem["remedy"])]
        return "\n  ".join([super().__str__(), *lines])


class Unauthenticated(ApiError):
    """The token is missing, wrong or expired."""


class Forbidden(ApiError):
    """The token is good, but lacks this right."""


class NotFound(ApiError):
    """No such object."""


class Conflict(ApiError):
    """The object is not in a state that allows this."""


class Fenced(Conflict):
    """The trial has moved on to a newer epoch, or has ended: nothing more is accepted from this one."""


class Cancelled(ApiError):
    """Somebody cancelled the trial: stop working."""


class Busy(ApiError):
    """The server cannot answer now; the same request may succeed later."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    408: Busy,
    409: Conflict,
    410: Cancelled,
    413: Invalid,
    422: Invalid,
    425: Busy,
    429: Busy,
}


def _line(fault: Mapping[str, str], said: str) -> str:
    """A fault in a line, without what was said before it."""
    field, problem, remedy = (fault.get(name, "") for name in ("field", "problem", "remedy"))
    words = ". ".join(word.rstrip(".") for word in (problem, remedy) if word and word not in said)
    return f"{field}: {words}." if field and words else words


def refusal(status: int, problem: Mapping[str, object]) -> ApiError:
    """The exception for one problem document."""
    code = str(problem.get("code", ""))
    detail = str(problem.get("detail") or problem.get("title") or f"The server answered {status}.")
    kind = Busy if status >= 500 else _BY_STATUS.get(status, ApiError)
    if status == 409 and code == "fenced":
        kind = Fenced
    return kind(status, code or f"http_{status}", detail, problem)

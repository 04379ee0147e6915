"""Reading documents from outside (JSON, TOML): every fault is collected, none of them raises on its own."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.trial import Value

NUMBER_LIMIT = 1e300
"""Largest magnitude of a number in a document: differences and sums of two stay finite doubles."""
FAULTS_SHOWN = 100
"""A document can be wrong a million times over; an answer stays readable."""
STRANGERS_SHOWN = 20
"""Unknown keys of one object that are named one by one."""

# Postgres stores neither NUL nor a lone surrogate; other control characters garble terminals and logs.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def refuse(faults: Sequence[Fault]) -> None:
    """Raise Invalid with all of them, when there are any."""
    if not faults:
        return
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    raise Invalid(
        first.problem + more, field=first.field, remedy=first.remedy, faults=tuple(faults[:FAULTS_SHOWN])
    )


def show(value: object) -> str:
    """A value from outside as it may stand in a message: short, printable, whatever it is."""
    match value:
        case None:
            return "nothing"
        case bool():
            shown = "true" if value else "false"
        case int():
            # repr() of an integer above 4,300 digits raises.
            shown = str(value) if value.bit_length() <= 128 else f"a number of {value.bit_length()} bits"
        case float():
            shown = repr(value)
        case str():
            shown = ascii(value) if len(value) <= 60 else ascii(value[:57]) + "…"
        case list() | tuple():
            shown = "a list"
        case Mapping():
            shown = "an object"
        case _:
            shown = f"a {type(value).__name__}"
    return shown


def is_number(value: object) -> TypeGuard[int | float]:
    """Finite, not boolean, and small enough to reckon with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -NUMBER_LIMIT <= value <= NUMBER_LIMIT


def as_integer(value: object) -> int | None:
    """The integer that a JSON number means: 3 and 3.0 alike; None for anything else."""
    if not is_number(value) or (isinstance(value, float) and not value.is_integer()):
        return None
    return int(value)


def text_problem(value: object, *, limit: int, lines: bool = False) -> str | None:
    """What keeps this value from being a text of at most `limit` characters; None when nothing does."""
    if not isinstance(value, str):
        return f"is {show(value)}, not a text"
    if len(value) > limit:
        return f"has {len(value)} characters, above {limit}"
    if (_CONTROL_BUT_LINES if lines else _CONTROL).search(value):
        return "has control characters"
    return None


def value_problem(value: object, *, limit: int = 200) -> str | None:
    """What keeps this from being a hyperparameter's value: a short text, a number or a boolean."""
    if isinstance(value, bool) or is_number(value):
        return None
    if isinstance(value, str):
        return text_problem(value, limit=limit)
    if isinstance(value, int | float):
        return f"is {show(value)}, not a finite number" if _odd(value) else f"is {show(value)}, too large"
    return f"is {show(value)}, not a text, number or boolean"


def value_text(value: Value) -> str:
    """The value as a training command sees it after `--name=`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def close_to(word: str, words: Sequence[str]) -> str:
    """'Did you mean …? ' for a mistyped word, or nothing."""
    near = difflib.get_close_matches(word[:100], words, n=1)
    return f"Did you mean {near[0]}? " if near else ""


class Document:
    """One object of a document, read key by key. After a fault a reader returns a harmless value of the
    right type, so that reading goes on and finds the other faults."""

    def __init__(self, value: object, *, field: str, faults: list[Fault], label: str = "") -> None:
        self.field = field
        self.faults = faults
        self.label = f"{label}: " if label else ""
        self.content: Mapping[object, object] = value if isinstance(value, Mapping) else {}
        if not isinstance(value, Mapping):
            self._add(field, f"{self.label}{field or 'document'} is {show(value)}, not an object", "")

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def get(self, key: str) -> object:
        return self.content.get(key)

    def path(self, key: str) -> str:
        return f"{self.field}.{key}" if self.field else key

    def fault(self, key: str, problem: str, remedy: str = "") -> None:
        self._add(self.path(key), f"{self.label}{key} {problem}", remedy)

    def made_fault(self, problem: str, remedy: str = "") -> Fault:
        """Of the object itself."""
        return Fault(self.field, f"{self.label}{self.field} {problem}", remedy)

    def only(self, *known: str) -> None:
        """Keys that nobody reads are faults: a mistyped key would be dropped in silence."""
        unknown = [key for key in self.content if key not in known]
        for key in unknown[:STRANGERS_SHOWN]:
            near = close_to(key, known) if isinstance(key, str) else ""
            remedy = f"{near}Known keys: {', '.join(known) or 'none'}."
            self._add(self.field, f"{self.label}unknown key {show(key)}", remedy)
        if len(unknown) > STRANGERS_SHOWN:
            problem = f"{self.label}{len(unknown) - STRANGERS_SHOWN} more unknown keys"
            self._add(self.field, problem, "Leave them out.")

    def text(self, key: str, *, limit: int, default: str | None = None, lines: bool = False) -> str:
        """A text; without a default it must be there and hold more than blanks."""
        if key not in self.content and default is not None:
            return default
        value = self.get(key)
        problem = text_problem(value, limit=limit, lines=lines) if key in self.content else "is missing"
        if problem is None and default is None and not str(value).strip():
            problem = "is empty"
        if problem:
            self.fault(key, problem, f"Give a text of up to {limit} characters.")
            return ""
        return str(value)

    def integer(self, key: str, *, low: int, high: int, default: int | None = None) -> int:
        if key not in self.content and default is not None:
            return default
        value = as_integer(self.get(key))
        if value is None or not low <= value <= high:
            seen = f"is {show(self.get(key))}" if key in self.content else "is missing"
            self.fault(key, seen, f"Give a whole number from {low} to {high}.")
            return low
        return value

    def number(self, key: str) -> float:
        value = self.get(key)
        if not is_number(value):
            seen = f"is {show(value)}" if key in self.content else "is missing"
            self.fault(key, seen, f"Give a number of magnitude up to {NUMBER_LIMIT:g}.")
            return math.nan
        return float(value)

    def word(self, key: str, words: Sequence[str], *, default: str | None = None) -> str:
        """One of a few words."""
        if key not in self.content and default is not None:
            return default
        value = self.get(key)
        if not isinstance(value, str) or value not in words:
            seen = f"is {show(value)}" if key in self.content else "is missing"
            near = close_to(value, words) if isinstance(value, str) else ""
            self.fault(key, seen, f"{near}Use {' or '.join(words)}.")
            return words[0]
        return value

    def items(self, key: str, *, most: int) -> Sequence[object]:
        """A list with 1 to `most` entries."""
        value = self.get(key)
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= most:
            seen = f"is {show(value)}" if key in self.content else "is missing"
            if isinstance(value, list | tuple):
                seen = f"has {len(value)} entries"
            self.fault(key, seen, f"Give a list of 1 to {most} entries.")
            return ()
        return value

    def part(self, key: str) -> "Document":
        """An object inside; empty when it is absent."""
        value = self.content.get(key, {})
        return Document(value, field=self.path(key), faults=self.faults, label=self.label.removesuffix(": "))

    def _add(self, field: str, problem: str, remedy: str) -> None:
        self.faults.append(Fault(field, problem, remedy))


def _odd(value: int | float) -> bool:
    return isinstance(value, float) and not math.isfinite(value)

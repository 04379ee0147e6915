"""What people and machines send as text: short, and free of what a database or a terminal chokes on."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tunebook_server.domain.document import is_number, show, text_problem
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.study_limits import PARALLEL_MOST, WEIGHT_LEAST, WEIGHT_MOST

NAME_LONGEST = 200
TEXT_LONGEST = 10_000
"""Characters of a goal, note or reason."""
DOCUMENT_LONGEST = 100_000
"""Characters of an environment or of labels, as JSON."""
INTEGER_HIGHEST = 2**31 - 1
STEP_HIGHEST = 2**63 - 1


def name_text(value: object, *, field: str, limit: int = NAME_LONGEST) -> str:
    """One line that is not blank; Invalid otherwise."""
    problem = text_problem(value, limit=limit)
    if problem is None and not str(value).strip():
        problem = "is empty"
    if problem:
        raise Invalid(f"{field} {problem}", field=field, remedy=f"Give a text of 1 to {limit} characters.")
    return str(value)


def long_text(value: object, *, field: str, limit: int = TEXT_LONGEST) -> str:
    """Any lines, also none."""
    problem = text_problem(value, limit=limit, lines=True)
    if problem:
        raise Invalid(f"{field} {problem}", field=field, remedy=f"Give a text of up to {limit} characters.")
    return str(value)


def edited(changes: Mapping[str, object], editable: Mapping[str, Callable[..., object]]) -> dict[str, Any]:
    """Changes, each read by what `editable` names for its field; Invalid for another field."""
    for field in changes:
        if field not in editable:
            raise Invalid(
                f"{show(field)} cannot be changed", field=field, remedy=f"Change {', '.join(editable)}."
            )
    return {field: editable[field](value, field=field) for field, value in changes.items()}


def short_reason(value: object) -> str:
    """A reason as a machine gives it: cut and cleaned, never refused, for the trial's end matters more."""
    text = "".join(letter if _plain(letter) else "\N{REPLACEMENT CHARACTER}" for letter in str(value))
    return text if len(text) <= TEXT_LONGEST else text[: TEXT_LONGEST - 1] + "…"


def json_object(value: object, *, field: str) -> dict[str, object]:
    """An object that a JSON column takes; Invalid otherwise."""
    if not isinstance(value, Mapping):
        raise Invalid(f"{field} is not an object", field=field, remedy="Give names with values.")
    try:
        text = json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        text = "\\u0000"
    if len(text) > DOCUMENT_LONGEST or "\\u0000" in text or "\\ud" in text.lower():
        remedy = f"Give finite numbers and plain text, at most {DOCUMENT_LONGEST} characters as JSON."
        raise Invalid(f"{field} cannot be stored", field=field, remedy=remedy)
    return dict(value)


def whole_number(value: object, *, field: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Invalid(
            f"{field} is out of range", field=field, remedy=f"Give a whole number from {low} to {high}."
        )
    return value


def weight(value: object, *, field: str) -> float:
    """Of one among others that share the workers."""
    if not is_number(value) or not WEIGHT_LEAST <= value <= WEIGHT_MOST:
        remedy = f"Give a number from {WEIGHT_LEAST:g} to {WEIGHT_MOST:g}."
        raise Invalid(f"{field} is {show(value)}", field=field, remedy=remedy)
    return float(value)


def most_at_a_time(value: object, *, field: str) -> int | None:
    """A limit of trials in progress; None for no limit."""
    return None if value is None else whole_number(value, field=field, low=0, high=PARALLEL_MOST)


def _plain(letter: str) -> bool:
    return text_problem(letter, limit=1, lines=True) is None

"""One entry of a search space document, read into its hyperparameter."""

from collections.abc import Callable, Sequence
from typing import Literal, cast

from tunebook_server.domain.document import Document, show, value_problem
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.hyperparameter import (
    Boolean,
    Categorical,
    Fixed,
    Float,
    Hyperparameter,
    Integer,
    When,
)
from tunebook_server.domain.hyperparameter_rules import CHOICES_MOST, INTEGER_LIMIT, NAME, Scale
from tunebook_server.domain.trial import Value

SCALES = ("linear", "log")
ROLES = ("scientific", "nuisance")

_KEYS = {
    "float": ("low", "high", "scale"),
    "integer": ("low", "high", "scale"),
    "categorical": ("choices",),
    "boolean": (),
    "fixed": ("value",),
}

SearchedRole = Literal["scientific", "nuisance"]
Make = Callable[[], Hyperparameter]
"""Building comes last: a constructor sees only values of the right shape."""


def entry_name(value: object) -> str:
    """The name that an entry gives itself, where it is one."""
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) and NAME.fullmatch(name) else ""


def read_hyperparameter(value: object, *, field: str, faults: list[Fault]) -> Hyperparameter | None:
    """The hyperparameter, or None with at least one fault added."""
    before = len(faults)
    entry = Document(value, field=field, faults=faults, label=entry_name(value))
    if len(faults) > before:
        return None
    try:
        return _read(entry, before)
    except Invalid as invalid:
        faults.extend(Fault(entry.path(fault.field), fault.problem, fault.remedy) for fault in invalid.faults)
        return None


def _read(entry: Document, before: int) -> Hyperparameter | None:
    kind = entry.word("type", tuple(_KEYS))
    if len(entry.faults) > before:
        return None
    entry.only("name", "type", "role", "when", *_KEYS[kind])
    read = {
        "float": _read_float,
        "integer": _read_integer,
        "categorical": _read_categorical,
        "boolean": _read_boolean,
        "fixed": _read_fixed,
    }[kind]
    make = read(entry, entry.text("name", limit=100), _read_when(entry))
    return None if len(entry.faults) > before else make()


def _read_float(entry: Document, name: str, when: When | None) -> Make:
    low, high, scale, role = entry.number("low"), entry.number("high"), _read_scale(entry), _read_role(entry)
    return lambda: Float(name, low, high, scale, role, when)


def _read_integer(entry: Document, name: str, when: When | None) -> Make:
    low, high = (entry.integer(end, low=-INTEGER_LIMIT, high=INTEGER_LIMIT) for end in ("low", "high"))
    scale, role = _read_scale(entry), _read_role(entry)
    return lambda: Integer(name, low, high, scale, role, when)


def _read_categorical(entry: Document, name: str, when: When | None) -> Make:
    choices = _read_values(entry.items("choices", most=CHOICES_MOST), entry, "choices")
    role = _read_role(entry)
    return lambda: Categorical(name, choices, role, when)


def _read_boolean(entry: Document, name: str, when: When | None) -> Make:
    role = _read_role(entry)
    return lambda: Boolean(name, role, when)


def _read_fixed(entry: Document, name: str, when: When | None) -> Make:
    value = _read_value(entry)
    entry.word("role", ("fixed",), default="fixed")
    return lambda: Fixed(name, value, when)


def _read_scale(entry: Document) -> Scale:
    return cast(Scale, entry.word("scale", SCALES, default="linear"))


def _read_role(entry: Document) -> SearchedRole:
    return cast(SearchedRole, entry.word("role", ROLES, default="nuisance"))


def _read_when(entry: Document) -> When | None:
    if "when" not in entry:
        return None
    remedy = 'Give one parent and a list of its values, like {"optimizer": ["adam"]}.'
    condition = entry.get("when")
    if not isinstance(condition, dict):
        entry.fault("when", f"is {show(condition)}, not an object", remedy)
        return None
    if len(condition) != 1:
        entry.fault("when", f"has {len(condition)} parents", remedy)
        return None
    ((parent, values),) = condition.items()
    if not isinstance(parent, str):
        entry.fault("when", f"has {show(parent)} for a parent", remedy)
        return None
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= CHOICES_MOST:
        seen = f"{len(values)} values" if isinstance(values, list | tuple) else show(values)
        entry.fault("when", f"has {seen} for {show(parent)}", remedy)
        return None
    return When(parent, _read_values(values, entry, "when"))


def _read_value(entry: Document) -> Value:
    if "value" not in entry:
        entry.fault("value", "is missing", "Give a text, a number or a boolean.")
        return ""
    return _read_values((entry.get("value"),), entry, "value")[0]


def _read_values(values: Sequence[object], entry: Document, key: str) -> tuple[Value, ...]:
    remedy = "Give texts of up to 200 characters, numbers or booleans."
    for value in values:
        if problem := value_problem(value):
            entry.fault(key, problem if len(values) == 1 else f"has a value that {problem}", remedy)
    return cast(tuple[Value, ...], tuple(values))

"""The kinds of hyperparameter: each knows its values, its place in [0, 1] and its JSON form.

The unit interval is cut so that every value of a finite kind has the same share, except integers on a log
scale: there `v` has the share of [v - 1/2, v + 1/2] on the log axis, about 1/v.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tunebook_server.domain.document import (
    NUMBER_LIMIT,
    as_integer,
    is_number,
    refuse,
    show,
    value_problem,
    value_text,
)
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.hyperparameter_rules import (
    CHOICES_MOST,
    INTEGER_LIMIT,
    LOG_LOWEST,
    NARROWEST,
    Role,
    Scale,
    choice_faults,
    name_and_role_faults,
    range_faults,
    scale_faults,
)
from tunebook_server.domain.trial import Value

CONDITIONS_SHOWN = 3  # values
CONDITION_LONGEST = 40  # characters


@dataclass(frozen=True, slots=True)
class When:
    """A condition: active where the parent (a key, or a name that only one hyperparameter has) holds one of
    the values. The parent's own conditions are implied."""

    parent: str
    values: tuple[Value, ...]

    def document(self) -> dict[str, object]:
        return {self.parent: list(self.values)}


@dataclass(frozen=True, slots=True)
class Float:
    name: str
    low: float
    high: float
    scale: Scale = "linear"
    role: Role = "nuisance"
    when: When | None = None

    kind: ClassVar[str] = "float"
    size: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        faults = name_and_role_faults(self.name, self.role) + scale_faults(self.name, self.scale)
        for end in ("low", "high"):
            value = getattr(self, end)
            if not is_number(value):
                remedy = f"Give a number of magnitude up to {NUMBER_LIMIT:g}."
                faults.append(Fault(end, f"{self.name}: {end} is {show(value)}", remedy))
        lowest = LOG_LOWEST if self.scale == "log" else -NUMBER_LIMIT
        refuse(faults or range_faults(self.name, self.low, self.high, lowest=lowest, narrowest=NARROWEST))
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))

    def from_unit(self, u: float) -> float:
        return along(float(u), self.low, self.high, self.scale)

    def to_unit(self, value: Value) -> float:
        """Outside [0, 1] for a recorded value outside the range; NaN for one without a place on the scale."""
        if not is_number(value) or (self.scale == "log" and value <= 0):
            return math.nan
        return _place(float(value), self.low, self.high, self.scale)

    def check(self, value: object) -> float:
        if not is_number(value) or not self.low <= value <= self.high:
            raise _outside(self.name, value, f"Give a number from {self.low:g} to {self.high:g}.")
        return float(value)

    def document(self) -> dict[str, object]:
        return _document(self, low=self.low, high=self.high, scale=self.scale, role=self.role)


@dataclass(frozen=True, slots=True)
class Integer:
    """Both ends included; `log` from 1 upwards."""

    name: str
    low: int
    high: int
    scale: Scale = "linear"
    role: Role = "nuisance"
    when: When | None = None

    kind: ClassVar[str] = "integer"

    def __post_init__(self) -> None:
        faults = name_and_role_faults(self.name, self.role) + scale_faults(self.name, self.scale)
        for end in ("low", "high"):
            value = as_integer(getattr(self, end))
            if value is None or abs(value) > INTEGER_LIMIT:
                problem = f"{self.name}: {end} is {show(getattr(self, end))}"
                remedy = f"Give a whole number of magnitude up to {INTEGER_LIMIT}."
                faults.append(Fault(end, problem, remedy))
        lowest = 1 if self.scale == "log" else -INTEGER_LIMIT
        refuse(faults or range_faults(self.name, self.low, self.high, lowest=lowest, narrowest=0))
        object.__setattr__(self, "low", int(self.low))
        object.__setattr__(self, "high", int(self.high))

    @property
    def size(self) -> int | None:
        return self.high - self.low + 1

    def from_unit(self, u: float) -> int:
        if self.scale == "linear":
            return self.low + _cell(u, self.high - self.low + 1)
        value = math.floor(along(u, self.low - 0.5, self.high + 0.5, "log") + 0.5)
        return min(max(value, self.low), self.high)

    def to_unit(self, value: Value) -> float:
        """The middle of the value's share; outside [0, 1] for a recorded value outside the range."""
        if not is_number(value) or (self.scale == "log" and value < 1):
            return math.nan
        ends = (self.low - 0.5, self.high + 0.5)
        if self.scale == "linear":
            return _place(float(value), *ends, "linear")
        return (_place(value - 0.5, *ends, "log") + _place(value + 0.5, *ends, "log")) / 2

    def check(self, value: object) -> int:
        whole = as_integer(value)
        if whole is None or not self.low <= whole <= self.high:
            raise _outside(self.name, value, f"Give a whole number from {self.low} to {self.high}.")
        return whole

    def document(self) -> dict[str, object]:
        return _document(self, low=self.low, high=self.high, scale=self.scale, role=self.role)


@dataclass(frozen=True, slots=True)
class Categorical:
    name: str
    choices: tuple[Value, ...]
    role: Role = "nuisance"
    when: When | None = None

    kind: ClassVar[str] = "categorical"
    _places: Mapping[Value, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        faults = name_and_role_faults(self.name, self.role)
        if not 1 <= len(self.choices) <= CHOICES_MOST:
            remedy = f"Give 1 to {CHOICES_MOST} choices."
            faults.append(Fault("choices", f"{self.name}: choices has {len(self.choices)} entries", remedy))
        refuse(faults or choice_faults(self.name, self.choices))
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "_places", {choice: place for place, choice in enumerate(self.choices)})

    @property
    def size(self) -> int | None:
        return len(self.choices)

    def from_unit(self, u: float) -> Value:
        return self.choices[_cell(u, len(self.choices))]

    def to_unit(self, value: Value) -> float:
        """The middle of the choice's share; NaN for a recorded value that is no choice (any more)."""
        place = self._find(value)
        return math.nan if place is None else (place + 0.5) / len(self.choices)

    def check(self, value: object) -> Value:
        place = self._find(value)
        if place is None:
            some = ", ".join(show(choice) for choice in self.choices[:20])
            raise _outside(self.name, value, f"Use one of {some}{', …' if len(self.choices) > 20 else '.'}")
        return self.choices[place]

    def document(self) -> dict[str, object]:
        return _document(self, choices=list(self.choices), role=self.role)

    def _find(self, value: object) -> int | None:
        place = self._places.get(value) if isinstance(value, str | int | float) else None
        return place if place is not None and same_value(value, self.choices[place]) else None


@dataclass(frozen=True, slots=True)
class Boolean:
    name: str
    role: Role = "nuisance"
    when: When | None = None

    kind: ClassVar[str] = "boolean"
    size: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        refuse(name_and_role_faults(self.name, self.role))

    def from_unit(self, u: float) -> bool:
        return bool(u >= 0.5)

    def to_unit(self, value: Value) -> float:
        if not isinstance(value, bool):
            return math.nan
        return 0.75 if value else 0.25

    def check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise _outside(self.name, value, "Use true or false.")
        return value

    def document(self) -> dict[str, object]:
        return _document(self, role=self.role)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Held in this study; every conclusion carries it as a caveat."""

    name: str
    value: Value
    when: When | None = None

    kind: ClassVar[str] = "fixed"
    role: ClassVar[Role] = "fixed"
    size: ClassVar[int | None] = 1

    def __post_init__(self) -> None:
        faults = name_and_role_faults(self.name, "nuisance")
        if problem := value_problem(self.value):
            remedy = "Give a text, a number or a boolean."
            faults.append(Fault("value", f"{self.name}: value {problem}", remedy))
        refuse(faults)

    def check(self, value: object) -> Value:
        if not same_value(value, self.value):
            raise _outside(self.name, value, f"It is fixed at {show(self.value)} in this study.")
        return self.value

    def document(self) -> dict[str, object]:
        return _document(self, value=self.value)


Searched = Float | Integer | Categorical | Boolean
Hyperparameter = Searched | Fixed


def same_value(left: object, right: object) -> bool:
    """Equal as JSON values: 1 and 1.0 are, 1 and true are not (in Python they are)."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def along(u: float, low: float, high: float, scale: Scale) -> float:
    """The point at the share u of the way from low to high, on the scale; never outside."""
    if scale == "log":
        bottom, top = math.log(low), math.log(high)
        value = math.exp(bottom + u * (top - bottom))
    else:
        value = low + u * (high - low)
    return min(max(value, low), high)


def _cell(u: float, cells: int) -> int:
    return min(max(math.floor(u * cells), 0), cells - 1)


def _place(value: float, low: float, high: float, scale: Scale) -> float:
    if scale == "log":
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def _document(parameter: Hyperparameter, **fields: object) -> dict[str, object]:
    document: dict[str, object] = {"name": parameter.name, "type": parameter.kind, **fields}
    if parameter.when is not None:
        document["when"] = parameter.when.document()
    return document


def _outside(name: str, value: object, remedy: str) -> Invalid:
    return Invalid(f"{name} is {show(value)}", field=name, remedy=remedy)


def in_words(parameter: Hyperparameter) -> str:
    """`learning_rate (optimizer=adam)`: with its condition, for the same name under another one is another
    hyperparameter."""
    if parameter.when is None:
        return parameter.name
    values = " or ".join(map(value_text, parameter.when.values[:CONDITIONS_SHOWN]))
    shown = values if len(values) <= CONDITION_LONGEST else f"{values[: CONDITION_LONGEST - 1]}…"
    return f"{parameter.name} ({parameter.when.parent.rpartition('/')[2]}={shown})"

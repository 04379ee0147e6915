"""A hyperparameter searched between other ends, among other values, or held at one."""

import math
from collections.abc import Sequence
from dataclasses import replace

from tunebook_server.domain.document import as_integer, is_number, show
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.hyperparameter import (
    Boolean,
    Categorical,
    Fixed,
    Float,
    Hyperparameter,
    Integer,
    same_value,
)
from tunebook_server.domain.hyperparameter_rules import Role, Scale
from tunebook_server.domain.trial import Value


def between(parameter: Hyperparameter, low: float, high: float) -> Hyperparameter:
    """Ends of an integer are rounded outwards, and on a log scale, which begins at 1, not below it. Raises
    Invalid for what has no range, and for ends that make none."""
    match parameter:
        case Float():
            return replace(parameter, low=low, high=high)
        case Integer():
            bottom, top = math.floor(low), math.ceil(high)
            if parameter.scale == "log" and low > 0:
                bottom = max(bottom, 1)
            return replace(parameter, low=bottom, high=top)
    remedy = "Use vary with a type and a range." if isinstance(parameter, Fixed) else "Use choices."
    raise Invalid(f"{parameter.name} is {parameter.kind} and has no range", field="key", remedy=remedy)


def among(parameter: Hyperparameter, choices: Sequence[Value]) -> Hyperparameter:
    """Searched as a list of values; of a boolean both are still a boolean, one is fixed. Raises Invalid for
    values of another type."""
    values = tuple(_typed(parameter, choice, "choices") for choice in choices)
    if isinstance(parameter, Boolean) and len(set(values)) == len(values):
        return parameter if len(values) == 2 else Fixed(parameter.name, values[0], parameter.when)
    role: Role = "nuisance" if isinstance(parameter, Fixed) else parameter.role
    return Categorical(parameter.name, values, role, parameter.when)


def held(parameter: Hyperparameter, value: Value) -> Fixed:
    """Numbers may lie outside the range or the numbers searched so far, a word is one of the choices."""
    numbers = (
        is_number(value) and isinstance(parameter, Categorical) and all(map(is_number, parameter.choices))
    )
    if isinstance(parameter, Categorical) and not numbers:
        try:
            value = parameter.check(value)
        except Invalid as invalid:
            raise Invalid(invalid.message, field="value", remedy=invalid.remedy) from None
    return Fixed(parameter.name, _typed(parameter, value, "value"), parameter.when)


def assigned(parameter: Hyperparameter, role: Role) -> Hyperparameter:
    """A fixed one has no other role, and stays as it is."""
    return parameter if isinstance(parameter, Fixed) else replace(parameter, role=role)


def rescaled(parameter: Hyperparameter, scale: Scale) -> Hyperparameter:
    """What has no range has no scale, and stays as it is."""
    return replace(parameter, scale=scale) if isinstance(parameter, Float | Integer) else parameter


def _typed(parameter: Hyperparameter, value: Value, field: str) -> Value:
    match parameter:
        case Float() if is_number(value):
            return float(value)
        case Float():
            remedy = "Give a number."
        case Integer():
            whole = as_integer(value)
            if whole is not None:
                return whole
            remedy = "Give a whole number."
        case Boolean() if same_value(value, bool(value)):
            return value
        case Boolean():
            remedy = "Give true or false."
        case _:
            return value
    raise Invalid(f"{parameter.name} is {show(value)}", field=field, remedy=remedy)

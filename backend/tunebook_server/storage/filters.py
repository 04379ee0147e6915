"""A filter as a condition on trials. Names and values reach Postgres as bound parameters, never as SQL."""

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, cast, func, literal, or_, true

from tunebook_server.domain.filters.tree import Comparison, Every, Field, Filter, Not, Operator, Some
from tunebook_server.domain.places import json_text
from tunebook_server.storage.trial_fields import TYPES, Kind, field, parameter

_COMPARED: Mapping[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def condition(tree: Filter) -> ColumnElement[bool]:
    """NULL counts as false, as it does in a WHERE."""
    match tree:
        case Every(parts):
            return and_(*map(condition, parts))
        case Some(parts):
            return or_(*map(condition, parts))
        case Not(part):
            return condition(part).is_not(true())
        case Comparison():
            return _comparison(tree)


def _comparison(found: Comparison) -> ColumnElement[bool]:
    kind: Kind = "text" if found.field.kind == "choice" else found.field.kind
    # All numbers as float64, whole ones too: a bound parameter takes its type from the other side.
    here = cast(field(found.field.name), TYPES[kind]) if not found.field.places else _value(found.field, kind)
    values = [literal(_plain(value), TYPES[kind]) for value in found.values]
    match found.operator:
        case "is none":
            return here.is_(None)
        case "is not none":
            return here.is_not(None)
        case "in":
            return here.in_(values)
        case "contains":
            return func.strpos(here, values[0]) > 0
        case compared:
            return _COMPARED[compared](here, values[0])


def _value(hyperparameter: Field, kind: Kind) -> ColumnElement[Any]:
    values = [parameter(place, kind) for place in hyperparameter.places]
    return func.coalesce(*values) if len(values) > 1 else values[0]


def _plain(value: Any) -> Any:
    """A choice as its JSON text; a number or a time as itself."""
    return value if isinstance(value, float | datetime) else json_text(value)

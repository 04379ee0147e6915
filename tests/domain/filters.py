"""Filters for property tests: random trees over a space of awkward names, as text, and by plain Python."""

import math
import operator
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from tunebook_server.domain.filters import spelling
from tunebook_server.domain.filters.check import OPERATORS
from tunebook_server.domain.filters.fields import parameter_field, trial_field
from tunebook_server.domain.filters.tree import (
    TRIAL_FIELDS,
    Comparison,
    Every,
    Field,
    Filter,
    Not,
    Some,
)
from tunebook_server.domain.hyperparameter import same_value
from tunebook_server.domain.search_space import SearchSpace

METRIC = "valid/error"
AWKWARD = ["it's 100%", '"quoted"', "back\\slash", "ä😀", "", "true", "none", "1", "%(x)s", "a_b", "'; DROP"]
SPACE = SearchSpace.parse(
    [
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"], "role": "scientific"},
        {"name": "lr", "type": "float", "low": 1e-5, "high": 10.0, "when": {"optimizer": ["sgd"]}},
        {"name": "lr", "type": "float", "low": 1e-5, "high": 10.0, "when": {"optimizer": ["adam"]}},
        {"name": "nesterov", "type": "boolean", "when": {"optimizer": ["sgd"]}},
        {"name": "decay", "type": "integer", "low": 1, "high": 4, "when": {"nesterov": [True]}},
        {"name": "mode", "type": "categorical", "choices": [*AWKWARD, 2, 0.5, False]},
        {"name": "under", "type": "float", "low": 0, "high": 1, "when": {"mode": AWKWARD[:4]}},
        {"name": "width", "type": "categorical", "choices": [64, 128, 0.5]},
        {"name": "state", "type": "integer", "low": -3, "high": 3},
        {"name": "number", "type": "boolean"},
        {"name": "mixed", "type": "float", "low": 0, "high": 1, "when": {"number": [True]}},
        {"name": "mixed", "type": "boolean", "when": {"number": [False]}},
        {"name": "none", "type": "float", "low": -1, "high": 1},
        {"name": "batch_size", "type": "fixed", "value": 64},
        {"name": "kind", "type": "fixed", "value": "50% of 'it'"},
    ]
)
NUMBERS = [-1.0, -0.0, 0.0, 0.5, 1.0, 2.0, 3.0, 64.0, 1e-4, 0.1, 1e300, 5e-324, math.inf, -math.inf, math.nan]
TEXTS = ["a", "A", "ab", "100%", "a_b", "\\", "'", '"', "ä", "😀", "none", "Ab 100%"]
TIMES = [datetime(2026, 11, 24, 10, minute, tzinfo=UTC) for minute in (0, 1, 30)]
_COMPARED = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FIELDS = [
    *(trial_field(name) for name in TRIAL_FIELDS),
    *(field for name in ("lr", "decay", *SPACE.keys) if (field := parameter_field(SPACE, name))),
]


def literals(field: Field, sign: str) -> st.SearchStrategy[Any]:
    if field.options and sign in ("=", "!=", "in"):
        numeric = field.kind == "number"
        return st.sampled_from([float(value) if numeric else value for value in field.options])
    pools: Mapping[str, Sequence[Any]] = {"number": NUMBERS, "text": TEXTS, "time": TIMES}
    return st.sampled_from(pools[field.kind])


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    field = draw(st.sampled_from(FIELDS))
    sign = draw(st.sampled_from(OPERATORS[field.kind]))
    if sign.endswith("none"):
        return Comparison(field, sign)
    most = 4 if sign == "in" else 1
    return Comparison(field, sign, tuple(draw(st.lists(literals(field, sign), min_size=1, max_size=most))))


def _joined(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, inner), st.builds(Every, several), st.builds(Some, several))


def filters() -> st.SearchStrategy[Filter]:
    return st.recursive(comparisons(), _joined, max_leaves=8)


def written(tree: Filter) -> str:
    """The filter as text, every join in brackets."""
    match tree:
        case Every(parts):
            return "(" + " and ".join(map(written, parts)) + ")"
        case Some(parts):
            return "(" + " OR ".join(map(written, parts)) + ")"
        case Not(part):
            return f"not {written(part)}"
        case Comparison(field, sign, values):
            name = spelling.spelled(field.name, METRIC) if field.places else field.name
            texts = [_literal(field, value) for value in values]
            return f"{name} {sign} {'(' + ', '.join(texts) + ')' if sign == 'in' else ''.join(texts)}"


def _literal(field: Field, value: Any) -> str:
    if isinstance(value, datetime):
        return f'"{value.isoformat()}"'
    if isinstance(value, float) and field.kind == "number" and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[repr(value)]
    return spelling.value(value)


def holds(tree: Filter, values: Mapping[tuple[bool, str], Any]) -> bool:
    """Whether the filter holds for a trial: its values by (is a hyperparameter?, name), None for none."""
    match tree:
        case Every(parts):
            return all(holds(part, values) for part in parts)
        case Some(parts):
            return any(holds(part, values) for part in parts)
        case Not(part):
            return not holds(part, values)
        case Comparison(field, sign, wanted):
            return _compare(values[bool(field.places), field.name], sign, wanted, field)


def _compare(here: Any, sign: str, wanted: Sequence[Any], field: Field) -> bool:
    if sign.endswith("none"):
        return (here is None) == (sign == "is none")
    if here is None:
        return False
    if field.kind == "choice":
        found = any(same_value(here, value) for value in wanted)
        return not found if sign == "!=" else found
    if sign == "contains":
        return wanted[0] in here
    here, *others = (_ranked(value, field) for value in (here, *wanted))
    return here in others if sign == "in" else bool(_COMPARED[sign](here, others[0]))


def _ranked(value: Any, field: Field) -> Any:
    """Numbers as the table sorts them: NaN is itself, and above all others."""
    if field.kind != "number":
        return value
    return (math.isnan(value), 0.0 if math.isnan(value) else float(value))

"""A filter as a tree: comparisons joined by and, or, not.

A comparison with a value that a trial does not have is false, `!=` too; only `is none` is true of it. So
`not` over such a comparison is true.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeAlias, TypeVar, Union

from tunebook_server.domain.places import Place
from tunebook_server.domain.trial import TrialState, Value

Leaf = TypeVar("Leaf")
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains", "is none", "is not none"]
Kind = Literal["number", "text", "time", "choice"]
"""What a field holds: a number, any text, a time, or one of a few values."""

TRIAL_FIELDS: Mapping[str, Kind] = {
    "number": "number",
    "state": "choice",
    "objective": "number",
    "best_step": "number",
    "last_step": "number",
    "duration": "number",
    "attempts": "number",
    "worker": "text",
    "note": "text",
    "reason": "text",
    "created_at": "time",
    "started_at": "time",
    "finished_at": "time",
}


@dataclass(frozen=True, slots=True)
class Every(Generic[Leaf]):
    parts: tuple["Tree[Leaf]", ...]


@dataclass(frozen=True, slots=True)
class Some(Generic[Leaf]):
    parts: tuple["Tree[Leaf]", ...]


@dataclass(frozen=True, slots=True)
class Not(Generic[Leaf]):
    part: "Tree[Leaf]"


Tree: TypeAlias = Union[Every[Leaf], Some[Leaf], Not[Leaf], Leaf]  # noqa: UP007 (a type variable takes no |)


@dataclass(frozen=True, slots=True)
class Field:
    """What can be compared: a field of every trial, or a hyperparameter in its places."""

    name: str
    """A trial's field, or the key or the name of hyperparameters."""
    kind: Kind
    places: tuple[Place, ...] = ()
    """Of hyperparameters that share a name: never are two of them active together."""
    options: tuple[Value, ...] = ()
    """All values that it can have, where those are few."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`values` has one value, several for `in`, none for `is none`; each in the type of the field's kind."""

    field: Field
    operator: Operator
    values: tuple[Value | datetime, ...] = ()


Filter = Tree[Comparison]
STATES = tuple(state.value for state in TrialState)

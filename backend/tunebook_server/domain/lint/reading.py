"""What the rules of the lint read out of a design."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tunebook_server.domain.conditions import Node
from tunebook_server.domain.document import is_number
from tunebook_server.domain.hyperparameter import Boolean, Categorical, Fixed, Float, Hyperparameter, Integer
from tunebook_server.domain.hyperparameter_names import Kind, kind
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.trial import Value

BUCKETS = 5
"""Values that a scientific range counts for, our number: as many points tell a trend from a plateau."""
_EXPLOITATION = re.compile(r"\b(exploit\w*|final)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A hyperparameter in its place of the space, and what its name says."""

    place: int
    node: Node
    kind: Kind | None

    @property
    def parameter(self) -> Hyperparameter:
        return self.node.parameter

    @property
    def key(self) -> str:
        return self.node.key

    @property
    def name(self) -> str:
        return self.parameter.name

    @property
    def varied(self) -> bool:
        return self.parameter.size != 1

    @property
    def scientific(self) -> bool:
        return self.varied and self.parameter.role == "scientific"

    @property
    def nuisance(self) -> bool:
        return self.varied and self.parameter.role == "nuisance"

    def field(self, name: str) -> str:
        return f"space.{self.place}.{name}"


def entries(design: StudyDesign, *kinds: Kind) -> Iterator[Entry]:
    """In the order of the space; of these kinds only, where some are named."""
    for place, node in enumerate(design.space.nodes):
        found = kind(node.parameter.name)
        if not kinds or found in kinds:
            yield Entry(place, node, found)


def active_share(space: SearchSpace, node: Node) -> float:
    """Of the configurations, when the values of every ancestor are drawn evenly."""
    return math.prod(
        len(values) / (space.parameters[place].size or math.inf) for place, values in node.needs.items()
    )


def exploits(design: StudyDesign) -> bool:
    """Whether it says that it is the final, exploiting one, and asks nothing: its aim is the best result."""
    asks = any(entry.scientific for entry in entries(design))
    return not asks and _EXPLOITATION.search(f"{design.name} {design.goal}") is not None


def values(parameter: Hyperparameter) -> tuple[Value, ...] | None:
    """All that it can hold; None for a range."""
    match parameter:
        case Fixed():
            return (parameter.value,)
        case Categorical():
            return parameter.choices
        case Boolean():
            return (False, True)
    return None


def numbers(parameter: Hyperparameter) -> tuple[float, ...]:
    """The numbers among its values; the ends of a range."""
    if isinstance(parameter, Float | Integer):
        return (parameter.low, parameter.high)
    return tuple(value for value in values(parameter) or () if is_number(value))


def largest(parameter: Hyperparameter) -> Value | None:
    """The largest number that it can hold; without one the last of its choices."""
    found = numbers(parameter)
    if found:
        return max(found)
    choices = values(parameter)
    return choices[-1] if choices else None


def run_lengths(design: StudyDesign, *kinds: Kind) -> list[Entry]:
    """How long a trial trains, where one positive whole number says so; in steps first."""
    found = [
        entry
        for entry in entries(design, *kinds)
        if isinstance(entry.parameter, Fixed) and whole(entry.parameter.value)
    ]
    return sorted(found, key=lambda entry: entry.kind != "train_steps")


def whole(value: object) -> int:
    """A positive whole number, or 0."""
    return int(value) if is_number(value) and value > 0 and float(value).is_integer() else 0


def shown(value: Value) -> str:
    """A value as it stands in a sentence."""
    if isinstance(value, bool) or not is_number(value):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

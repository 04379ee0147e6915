"""The tree that conditions make of a list of hyperparameters: parents, keys, and who can meet whom."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tunebook_server.domain.document import close_to, show, value_text
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.hyperparameter import Fixed, Float, Hyperparameter, When
from tunebook_server.domain.trial import Value

_ESCAPED = str.maketrans({"%": "%25", "/": "%2F", "|": "%7C", "=": "%3D"})

KEY_LONGEST = 10_000
"""Characters; the keys of a hostile space would otherwise fill the memory."""

AnyHyperparameter = TypeVar("AnyHyperparameter", bound=Hyperparameter)


@dataclass(frozen=True, slots=True)
class Node:
    """A hyperparameter in its place. `allowed`: the values of the parent that activate it. `needs`: for
    every ancestor (by place) the values that it must hold. `dimension`: column of the unit cube."""

    parameter: Hyperparameter
    key: str
    dimension: int | None
    parent: int | None
    allowed: frozenset[Value]
    needs: Mapping[int, frozenset[Value]]


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A fault of the hyperparameter at `place`."""

    place: int
    fault: Fault


class Tree:
    """Hangs hyperparameters one after another under those before them. `parameters` is all of them, None for
    an entry that could not be read; of what depends on a faulty or `unread` one nothing more is said."""

    def __init__(self, parameters: Sequence[Hyperparameter | None], unread: Collection[str] = ()) -> None:
        self.parameters = parameters
        self.nodes: dict[int, Node] = {}
        self.faults: list[Misplaced] = []
        self._silent = set(unread)
        self._dimension = 0
        for place, parameter in enumerate(parameters):
            if parameter is not None:
                self._hang(place, parameter)
        self.faults += _twins(self.nodes)

    def _hang(self, place: int, parameter: Hyperparameter) -> None:
        try:
            node = self._node(place, parameter)
        except Invalid as invalid:
            self.faults += [Misplaced(place, fault) for fault in invalid.faults if fault.problem]
            self._silent.add(parameter.name)
            return
        if not isinstance(parameter, Fixed):
            node = replace(node, dimension=self._dimension)
            self._dimension += 1
        self.nodes[place] = node

    def _node(self, place: int, parameter: Hyperparameter) -> Node:
        when = parameter.when
        if when is None:
            return Node(parameter, parameter.name, None, None, frozenset(), {})
        parent = self._parent(place, parameter, when)
        above = self.nodes[parent]
        values = _parent_values(parameter, when, above.parameter)
        key = key_below(above.key, values, parameter.name)
        if len(key) > KEY_LONGEST:
            problem = f"{parameter.name}: its key has {len(key)} characters, above {KEY_LONGEST}"
            raise _fault(problem, "Name fewer values in the conditions above it, or use shorter ones.")
        allowed = frozenset(values)
        conditional = _with_condition(parameter, When(when.parent, values))
        return Node(conditional, key, None, parent, allowed, {**above.needs, parent: allowed})

    def _parent(self, place: int, parameter: Hyperparameter, when: When) -> int:
        for number, node in self.nodes.items():
            if node.key == when.parent:
                return number
        named = [at for at, other in enumerate(self.parameters) if other and other.name == when.parent]
        if len(named) > 1:
            keys = ", ".join(show(self.nodes[at].key) for at in named[:5] if at in self.nodes)
            problem = f"{parameter.name}: {len(named)} hyperparameters are named {show(when.parent)}"
            raise _fault(problem, f"Name the parent by its key{': ' if keys else ''}{keys}.")
        if named and named[0] in self.nodes:
            return named[0]
        if named and named[0] >= place:
            problem = f"{parameter.name}: its parent {show(when.parent)} does not stand above it"
            raise _fault(problem, "Put the parent before its children.")
        if when.parent.rpartition("/")[2] in self._silent:
            raise _fault("", "")
        known = [name for node in self.nodes.values() for name in (node.parameter.name, node.key)]
        problem = f"{parameter.name}: no hyperparameter {show(when.parent)} stands above it"
        raise _fault(problem, f"{close_to(when.parent, known)}Give the name or the key of a hyperparameter.")


def key_below(parent_key: str, values: Sequence[Value], name: str) -> str:
    """The key of a hyperparameter that is active where its parent holds one of the values."""
    condition = "|".join(value_text(value).translate(_ESCAPED) for value in values)
    return f"{parent_key}={condition}/{name}"


def _with_condition(parameter: AnyHyperparameter, when: When) -> AnyHyperparameter:
    return replace(parameter, when=when)


def _parent_values(parameter: Hyperparameter, when: When, parent: Hyperparameter) -> tuple[Value, ...]:
    """The condition's values as the parent itself writes them."""
    if isinstance(parent, Float):
        raise _fault(
            f"{parameter.name}: its parent {parent.name} is a float, which holds a given value by luck only",
            "Use a categorical, boolean, integer or fixed parent.",
        )
    values: list[Value] = []
    for value in when.values:
        try:
            values.append(parent.check(value))
        except Invalid as invalid:
            problem = f"{parameter.name}: never active, its parent {parent.name} cannot be {show(value)}"
            raise _fault(problem, invalid.remedy) from None
    if len(set(values)) < len(values):
        raise _fault(f"{parameter.name}: its condition names a value twice", "Leave one of them out.")
    return tuple(values)


def _fault(problem: str, remedy: str) -> Invalid:
    return Invalid(problem, field="when", remedy=remedy)


def _twins(nodes: Mapping[int, Node]) -> list[Misplaced]:
    """A configuration maps names to values: two of one name must never be active together. They are kept
    apart exactly when some ancestor of both is asked for different values."""
    found = []
    by_name: dict[str, list[Node]] = {}
    for place, node in nodes.items():
        name = node.parameter.name
        for other in by_name.setdefault(name, []):
            shared = node.needs.keys() & other.needs.keys()
            if all(node.needs[ancestor] & other.needs[ancestor] for ancestor in shared):
                problem = f"{name}: can be active together with another of that name, {show(other.key)}"
                remedy = "Rename one, or give both conditions that exclude each other."
                found.append(Misplaced(place, Fault("name", problem, remedy)))
                break
        by_name[name].append(node)
    return found

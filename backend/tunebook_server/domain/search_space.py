"""The search space of a study: its hyperparameters, their conditions, and the unit cube they come from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.conditions import Misplaced, Node, Tree
from tunebook_server.domain.document import STRANGERS_SHOWN, close_to, refuse, show
from tunebook_server.domain.errors import Fault, Invalid, NotFound
from tunebook_server.domain.hyperparameter import (
    Boolean,
    Categorical,
    Fixed,
    Float,
    Hyperparameter,
    Integer,
    Searched,
    When,
)
from tunebook_server.domain.hyperparameter_document import entry_name, read_hyperparameter
from tunebook_server.domain.hyperparameter_rules import Role, Scale
from tunebook_server.domain.search_space_schema import PARAMETERS_MOST, SCHEMA
from tunebook_server.domain.trial import Configuration, Value

__all__ = [
    "SCHEMA",
    "Boolean",
    "Categorical",
    "Fixed",
    "Float",
    "Hyperparameter",
    "Integer",
    "Role",
    "Scale",
    "SearchSpace",
    "Searched",
    "When",
]


@dataclass(frozen=True)
class SearchSpace:
    """Hyperparameters in order, parents before their children; names that can meet differ.

    A key names a hyperparameter in its place: `batch_size`, or `optimizer=adam/learning_rate` where it is
    conditional (several values joined by `|`, conditions of conditions in a row; `%`, `/`, `|` and `=` in
    values are percent-encoded). Raises Invalid with every fault, fields like "space.2.low".
    """

    parameters: tuple[Hyperparameter, ...]
    nodes: tuple[Node, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _refuse_count(self.parameters)
        tree = Tree(self.parameters)
        refuse([_in_space(each) for each in tree.faults])
        object.__setattr__(self, "nodes", tuple(tree.nodes.values()))
        object.__setattr__(self, "parameters", tuple(node.parameter for node in self.nodes))

    @classmethod
    def parse(cls, document: object) -> "SearchSpace":
        """From the JSON form (`SCHEMA`); `document()` gives it back."""
        if not isinstance(document, list | tuple):
            problem = f"the search space is {show(document)}, not a list"
            raise Invalid(problem, field="space", remedy="Give a list of hyperparameters.")
        _refuse_count(document)
        faults: list[Fault] = []
        entries = [
            read_hyperparameter(entry, field=f"space.{place}", faults=faults)
            for place, entry in enumerate(document)
        ]
        tree = Tree(entries, unread={name for name in map(entry_name, document) if name})
        refuse(faults + [_in_space(each) for each in tree.faults])
        return cls(tuple(entry for entry in entries if entry is not None))

    def document(self) -> list[dict[str, object]]:
        return [parameter.document() for parameter in self.parameters]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        return tuple(node.key for node in self.nodes)

    @cached_property
    def dimensions(self) -> tuple[Searched, ...]:
        """What is searched: one column of the unit cube each, in order."""
        return tuple(each for each in self.parameters if not isinstance(each, Fixed))

    @cached_property
    def varied(self) -> tuple[Searched, ...]:
        """What there is to plot: searched, with more than one value."""
        return tuple(each for each in self.dimensions if each.size != 1)

    def key(self, parameter: Hyperparameter) -> str:
        return self._keys_by_parameter[parameter]

    def parameter(self, key: str) -> Hyperparameter:
        """Raises NotFound for a key that the space does not have."""
        node = self._nodes_by_key.get(key)
        if node is None:
            remedy = f"{close_to(key, self.keys)}Use one of the keys of the search space."
            raise NotFound(f"the search space has no hyperparameter {show(key)}", field="key", remedy=remedy)
        return node.parameter

    def parent(self, parameter: Hyperparameter) -> Hyperparameter | None:
        place = self._nodes_by_key[self.key(parameter)].parent
        return None if place is None else self.parameters[place]

    def active_nodes(self, configuration: Mapping[str, object]) -> Iterator[Node]:
        """In order; a value that is missing or unknown activates none of its children. The configuration is
        read as the nodes are taken, so that a caller can fill it in on the way."""
        active = [False] * len(self.nodes)
        for place, node in enumerate(self.nodes):
            active[place] = node.parent is None or (
                active[node.parent] and _holds(configuration, self.nodes[node.parent], node)
            )
            if active[place]:
                yield node

    def active(self, configuration: Configuration) -> tuple[Hyperparameter, ...]:
        return tuple(node.parameter for node in self.active_nodes(configuration))

    def locate(self, configuration: Configuration) -> dict[str, Value]:
        """The recorded values by key; names that the space does not know are left out."""
        return {
            node.key: configuration[node.parameter.name]
            for node in self.active_nodes(configuration)
            if node.parameter.name in configuration
        }

    def from_unit(self, vector: Sequence[float] | NDArray[np.float64]) -> dict[str, Value]:
        """The configuration at a point of [0, 1)^D; coordinates of inactive dimensions have no effect."""
        if len(vector) != len(self.dimensions):
            raise ValueError(f"{len(vector)} coordinates for {len(self.dimensions)} dimensions")
        configuration: dict[str, Value] = {}
        for node in self.active_nodes(configuration):
            parameter = node.parameter
            if isinstance(parameter, Fixed):
                configuration[parameter.name] = parameter.value
            else:
                assert node.dimension is not None
                configuration[parameter.name] = parameter.from_unit(float(vector[node.dimension]))
        return configuration

    def to_unit(self, configuration: Configuration) -> NDArray[np.float64]:
        """Shape (D,): NaN where inactive or missing, outside [0, 1] for values recorded outside the range."""
        vector = np.full(len(self.dimensions), np.nan)
        for node in self.active_nodes(configuration):
            parameter = node.parameter
            if node.dimension is not None and parameter.name in configuration:
                assert not isinstance(parameter, Fixed)
                vector[node.dimension] = parameter.to_unit(configuration[parameter.name])
        return vector

    def unit(self, key: str, value: Value) -> float:
        """The place of one value in its range; 0.5 for the value of a fixed hyperparameter."""
        parameter = self.parameter(key)
        return 0.5 if isinstance(parameter, Fixed) else parameter.to_unit(value)

    def check(self, configuration: object, *, field: str = "parameters") -> dict[str, Value]:
        """The configuration in the order of the space, numbers in the type of their hyperparameter, fixed
        values filled in. Raises Invalid naming each hyperparameter that is missing, wrong or not active."""
        if not isinstance(configuration, Mapping):
            problem = f"the configuration is {show(configuration)}, not an object"
            raise Invalid(problem, field=field, remedy="Give one value for every active hyperparameter.")
        faults: list[Fault] = []
        checked = dict(_check_each(self, configuration, field, faults))
        strangers = [name for name in configuration if name not in checked]
        if faults:  # which conditions hold is not known then
            strangers = [name for name in strangers if name not in self._names]
        faults += [self._stranger(name, field) for name in strangers[:STRANGERS_SHOWN]]
        if len(strangers) > STRANGERS_SHOWN:
            problem = f"{len(strangers) - STRANGERS_SHOWN} more values belong to no hyperparameter"
            faults.append(Fault(field, problem, "Leave them out."))
        refuse(faults)
        return checked

    def _stranger(self, name: object, path: str) -> Fault:
        places = [node for node in self.nodes if node.parameter.name == name]
        if not places:
            names = sorted(self._names)
            near = close_to(name, names) if isinstance(name, str) else ""
            remedy = f"{near}Known hyperparameters: {', '.join(names[:20])}."
            return Fault(path, f"the search space has no hyperparameter {show(name)}", remedy)
        where = " or ".join(show(node.key.rpartition("/")[0]) for node in places[:5])
        return Fault(f"{path}.{name}", f"{name} is not active here", f"Leave it out; it belongs to {where}.")

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.parameters)

    @cached_property
    def _nodes_by_key(self) -> dict[str, Node]:
        return {node.key: node for node in self.nodes}

    @cached_property
    def _keys_by_parameter(self) -> dict[Hyperparameter, str]:
        return {node.parameter: node.key for node in self.nodes}


def _check_each(
    space: SearchSpace, configuration: Mapping[object, object], path: str, faults: list[Fault]
) -> Iterator[tuple[str, Value]]:
    checked: dict[str, object] = {}
    for node in space.active_nodes(checked):
        parameter, name = node.parameter, node.parameter.name
        if name not in configuration and not isinstance(parameter, Fixed):
            faults.append(Fault(f"{path}.{name}", f"{name} is missing", f"Give {name} a value."))
            continue
        try:
            if isinstance(parameter, Fixed) and name not in configuration:
                value = parameter.value
            else:
                value = parameter.check(configuration[name])
        except Invalid as invalid:
            faults.append(Fault(f"{path}.{name}", invalid.message, invalid.remedy))
            continue
        checked[name] = value
        yield name, value


def _holds(configuration: Mapping[str, object], parent: Node, child: Node) -> bool:
    value = configuration.get(parent.parameter.name)
    return isinstance(value, str | int | float) and value in child.allowed


def _refuse_count(entries: Sequence[object]) -> None:
    if not 1 <= len(entries) <= PARAMETERS_MOST:
        problem = f"the search space has {len(entries)} hyperparameters"
        raise Invalid(problem, field="space", remedy=f"Give 1 to {PARAMETERS_MOST}.")


def _in_space(misplaced: Misplaced) -> Fault:
    fault = misplaced.fault
    return Fault(f"space.{misplaced.place}.{fault.field}", fault.problem, fault.remedy)

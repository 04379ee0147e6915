"""Where a hyperparameter stands in recorded parameters: its name, and what must hold for it to be active."""

import json
from dataclasses import dataclass

from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Value


@dataclass(frozen=True, slots=True)
class Place:
    """A hyperparameter in its place: the JSON texts that each ancestor may have, by the ancestor's name."""

    name: str
    needs: tuple[tuple[str, tuple[str, ...]], ...] = ()


def place(space: SearchSpace, key: str) -> Place:
    node = space.nodes[space.keys.index(key)]
    needs = [
        (space.parameters[at].name, tuple(sorted(json_text(value) for value in values)))
        for at, values in node.needs.items()
    ]
    return Place(node.parameter.name, tuple(needs))


def json_text(value: Value) -> str:
    """The value as Postgres' ->> shows it."""
    return value if isinstance(value, str) else json.dumps(value)

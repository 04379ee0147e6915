"""What a study names and gives options to: a sampler, a scheduler."""

from collections.abc import Mapping
from typing import Protocol, Self, TypeVar

from tunebook_server.domain.document import Document, close_to, refuse, show
from tunebook_server.domain.errors import Fault, Invalid


class Parsed(Protocol):
    @classmethod
    def parse(cls, options: Document) -> Self: ...


T = TypeVar("T", bound=Parsed)


def by_name(idea: str, kinds: Mapping[str, type[T]], name: object, options: object) -> T:
    """`idea`: "sampler", say. Raises Invalid with fields like "sampler.name" and "sampler.options.seed"."""
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        near = close_to(name, tuple(kinds)) if isinstance(name, str) else ""
        remedy = f"{near}Use {', '.join(kinds)}."
        raise Invalid(f"there is no {idea} {show(name)}", field=f"{idea}.name", remedy=remedy)
    faults: list[Fault] = []
    document = Document(options, field=f"{idea}.options", faults=faults)
    refuse(faults)
    made = kind.parse(document)
    refuse(faults)
    return made

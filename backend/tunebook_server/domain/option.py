"""An option of a sampler or a scheduler, as a form and a description show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """`says`: what it is, in words; `default` None for one that must be given; `many`: a list, which a form
    has between commas."""

    name: str
    says: str
    default: float | str | None = None
    many: bool = False


def by_name(kinds: Mapping[str, Sequence[Option]]) -> list[tuple[Option, list[str]]]:
    """Each option once, with the names of the kinds that have one of this name."""
    found = {option.name: option for options in kinds.values() for option in options}
    return [
        (option, [kind for kind, options in kinds.items() if name in {each.name for each in options}])
        for name, option in found.items()
    ]

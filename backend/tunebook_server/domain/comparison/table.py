"""The designs of several studies, and the values of several trials, as rows: what differs can come first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tunebook_server.domain.difference import described, field_text, plain_fields
from tunebook_server.domain.hyperparameter import same_value
from tunebook_server.domain.study import StudyDesign
from tunebook_server.domain.trial import Value

Cell = TypeVar("Cell", str, Value)


@dataclass(frozen=True, slots=True)
class Row(Generic[Cell]):
    """`field`: the key of a hyperparameter, or a field of the study document; `cells`: one a study or trial,
    None where it has no such thing."""

    field: str
    cells: tuple[Cell | None, ...]

    @property
    def differs(self) -> bool:
        return not all(same_value(self.cells[0], cell) for cell in self.cells[1:])


def designs(sides: Sequence[StudyDesign]) -> list[Row[str]]:
    """First the search spaces, in the order of the first study that has each key, then the fields."""
    spaces = [
        dict(zip(each.space.keys, map(described, each.space.parameters), strict=True)) for each in sides
    ]
    fields = [{name: field_text(value) for name, value in plain_fields(each).items()} for each in sides]
    return [*rows(spaces), *rows(fields)]


def rows(sides: Sequence[Mapping[str, Cell]]) -> list[Row[Cell]]:
    """One row a name that any of them has."""
    names = dict.fromkeys(name for each in sides for name in each)
    return [Row(name, tuple(each.get(name) for each in sides)) for name in names]

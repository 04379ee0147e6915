"""What samplers share that fit every space, never end and have no options."""

from dataclasses import dataclass
from typing import ClassVar, Self

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.option import Option
from tunebook_server.domain.search_space import SearchSpace


@dataclass(frozen=True)
class Endless:
    learns: ClassVar[bool] = False
    options: ClassVar[tuple[Option, ...]] = ()

    @classmethod
    def parse(cls, options: Document) -> Self:
        options.only()
        return cls()

    def size(self, space: SearchSpace) -> int | None:
        return None

    def check(self, space: SearchSpace) -> None:
        """Fits every space."""

    def warnings(self, space: SearchSpace) -> tuple[Fault, ...]:
        return ()

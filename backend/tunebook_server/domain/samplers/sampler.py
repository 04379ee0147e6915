"""What every sampler promises."""

from typing import ClassVar, Protocol, Self

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.option import Option
from tunebook_server.domain.samplers.history import History
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration


class Sampler(Protocol):
    learns: ClassVar[bool]
    """Whether it looks at the history at all."""
    options: ClassVar[tuple[Option, ...]]

    @classmethod
    def parse(cls, options: Document) -> Self:
        """Every fault goes into the document."""

    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        """The configurations of places index … index + count - 1: a pure function of its arguments.

        One that does not learn gives the same whatever was asked before and in whatever pieces; a finite
        one gives fewer at its end. One that learns counts its own suggestions of this call as pending, and
        gives what no trial of the history has where the space has anything else.
        """

    def size(self, space: SearchSpace) -> int | None:
        """How many configurations there are; None for an endless sampler."""

    def check(self, space: SearchSpace) -> None:
        """Raises Invalid where the sampler's options do not fit the space."""

    def warnings(self, space: SearchSpace) -> tuple[Fault, ...]:
        """What a person should know before starting; nothing here stops a study."""

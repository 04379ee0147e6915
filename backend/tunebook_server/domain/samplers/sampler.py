"""The promise of a sampler that does not learn from finished trials."""

from typing import Protocol

from tunebook_server.domain.errors import Fault
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration


class Sampler(Protocol):
    def suggest(self, space: SearchSpace, *, seed: int, index: int, count: int) -> list[Configuration]:
        """The configurations of places index … index + count - 1: a pure function of (seed, index), the same
        whatever was asked before and in whatever pieces. A finite sampler gives fewer at its end."""

    def size(self, space: SearchSpace) -> int | None:
        """How many configurations there are; None for an endless sampler."""

    def check(self, space: SearchSpace) -> None:
        """Raises Invalid where the sampler's options do not fit the space."""

    def warnings(self, space: SearchSpace) -> tuple[Fault, ...]:
        """What a person should know before starting; nothing here stops a study."""

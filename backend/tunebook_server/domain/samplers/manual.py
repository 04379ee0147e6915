"""Configurations that a person wrote down, in their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tunebook_server.domain.document import FAULTS_SHOWN, Document, refuse
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.option import Option
from tunebook_server.domain.samplers.history import History
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

CONFIGURATIONS_MOST = 10_000


@dataclass(frozen=True)
class Manual:
    """The same configuration may stand there several times: a retraining."""

    configurations: Sequence[object]

    learns: ClassVar[bool] = False
    options: ClassVar[tuple[Option, ...]] = (
        Option("configurations", "Configurations, as a JSON list of objects"),
    )

    @classmethod
    def parse(cls, options: Document) -> "Manual":
        options.only("configurations")
        return cls(tuple(options.items("configurations", most=CONFIGURATIONS_MOST)))

    def suggest(
        self, space: SearchSpace, *, seed: int, index: int, count: int, history: History | None = None
    ) -> list[Configuration]:
        return [space.check(each) for each in self.configurations[index : index + count]]

    def size(self, space: SearchSpace) -> int | None:
        return len(self.configurations)

    def check(self, space: SearchSpace) -> None:
        faults: list[Fault] = []
        for place, configuration in enumerate(self.configurations):
            if len(faults) >= FAULTS_SHOWN:
                break
            try:
                space.check(configuration, field=f"sampler.options.configurations.{place}")
            except Invalid as invalid:
                faults.extend(invalid.faults)
        refuse(faults)

    def warnings(self, space: SearchSpace) -> tuple[Fault, ...]:
        return ()

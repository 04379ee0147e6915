"""No scheduler: every trial trains to its end."""

from dataclasses import dataclass
from typing import ClassVar, Self

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.option import Option
from tunebook_server.domain.schedulers.scheduler import CONTINUE, Decision, Earlier


@dataclass(frozen=True)
class Never:
    name: ClassVar[str] = "none"
    options: ClassVar[tuple[Option, ...]] = ()
    copies: ClassVar[bool] = False

    @classmethod
    def parse(cls, options: Document) -> Self:
        options.only()
        return cls()

    def bracket(self, number: int) -> int:
        return 0

    def next_rung(self, bracket: int, after: int | None) -> int | None:
        return None

    def last_rung(self, bracket: int, upto: int) -> int | None:
        return None

    def decide(self, loss: float, earlier: Earlier) -> Decision:
        return CONTINUE

    def document(self) -> dict[str, object]:
        return {}

    def check(self, *, sampler_learns: bool, has_job: bool) -> None:
        """Fits every design."""

    def warnings(self, *, budget: int) -> tuple[Fault, ...]:
        return ()

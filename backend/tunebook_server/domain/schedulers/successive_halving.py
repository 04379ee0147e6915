"""Asynchronous successive halving: at each rung the best 1 / `reduction_factor` of those that came go on.

Li et al., "A system for massively parallel hyperparameter tuning", 2020, section 3.2, in the form that stops
trials instead of promoting them: nobody waits, and no job needs checkpoints.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.option import Option
from tunebook_server.domain.schedulers.geometric import OPTIONS, Geometric
from tunebook_server.domain.schedulers.rules import prefer_fixed_budget
from tunebook_server.domain.schedulers.scheduler import CONTINUE, Decision, Earlier, Kind


@dataclass(frozen=True)
class SuccessiveHalving:
    rungs: Geometric

    name: ClassVar[str] = "asha"
    options: ClassVar[tuple[Option, ...]] = OPTIONS
    copies: ClassVar[bool] = False

    @classmethod
    def parse(cls, options: Document) -> Self:
        options.only("min_steps", "max_steps", "reduction_factor")
        return cls(Geometric.read(options))

    def bracket(self, number: int) -> int:
        return 0

    def next_rung(self, bracket: int, after: int | None) -> int | None:
        return self.rungs.next(bracket, after)

    def last_rung(self, bracket: int, upto: int) -> int | None:
        return self.rungs.last_at(bracket, upto)

    def decide(self, loss: float, earlier: Earlier) -> Decision:
        return halve(loss, earlier, self.rungs.reduction_factor)

    def document(self) -> dict[str, object]:
        return self.rungs.document()

    def check(self, *, sampler_learns: bool, has_job: bool) -> None:
        """Fits every design."""

    def warnings(self, *, budget: int) -> tuple[Fault, ...]:
        return prefer_fixed_budget(self.name)


def halve(loss: float, earlier: Earlier, factor: int) -> Decision:
    """The first goes on, and after that who is among the best 1 / `factor` of all so far. Of equal ones as
    many go on as have a place: those that came when there was one."""
    if not np.isfinite(loss):
        return Decision(Kind.STOP, "its objective was not finite")
    ahead = (earlier.losses < loss) | ((earlier.losses == loss) & earlier.went_on)
    place, count = int(ahead.sum()) + 1, len(earlier) + 1
    places = max(1, count // factor)
    if place <= places:
        return CONTINUE
    return Decision(Kind.STOP, f"{place} of {count} there, and {places} may go on")

"""What every scheduler promises."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.option import Option

Losses = NDArray[np.float64]
"""Shape (n,): what is minimised; infinite for a value that was not finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """What trials of a bracket had at a rung that came there before, and which of them went on."""

    losses: Losses
    went_on: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.losses)


class Kind(StrEnum):
    CONTINUE = "continue"
    STOP = "stop"
    PAUSE = "pause"
    """The trial goes back into the queue, to go on from its checkpoint, or from another trial's."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason`: for people; empty where the trial goes on."""

    kind: Kind
    reason: str = ""


CONTINUE = Decision(Kind.CONTINUE)


class Scheduler(Protocol):
    """A function of the values that trials have reached: it holds no state, and nothing waits for others.

    A rung is a step of training at which a trial is judged, by its evaluations up to the first one at that
    step or after it. Trials of a bracket have their rungs in common.
    """

    name: ClassVar[str]
    options: ClassVar[tuple[Option, ...]]
    copies: ClassVar[bool]
    """Whether a paused trial may go on from the checkpoint of another one, with other values. All trials are
    made at once then, and judged by their last evaluation; else by the objective so far."""

    @classmethod
    def parse(cls, options: Document) -> Self:
        """Every fault goes into the document."""

    def bracket(self, number: int) -> int:
        """The bracket of a trial, by its number."""

    def next_rung(self, bracket: int, after: int | None) -> int | None:
        """The first rung behind step `after` (None: the first of all); None where there is none."""

    def last_rung(self, bracket: int, upto: int) -> int | None:
        """The last rung at or before step `upto`."""

    def decide(self, loss: float, earlier: Earlier) -> Decision:
        """Of a trial that has come to a rung, `earlier` others before it."""

    def document(self) -> dict[str, object]:
        """All options, those that were left out, too."""

    def check(self, *, sampler_learns: bool, has_job: bool) -> None:
        """Raises Invalid where the rest of the design does not fit."""

    def warnings(self, *, budget: int) -> tuple[Fault, ...]:
        """What a person should know before starting."""

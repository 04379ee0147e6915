"""The median rule: a trial stops that is worse than half of what others had at the same step.

Golovin et al., "Google Vizier: a service for black-box optimization", 2017, section 3.2.2; with the best
value so far instead of a running average, because the best checkpoint is what counts here.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.option import Option
from tunebook_server.domain.schedulers.rules import prefer_fixed_budget
from tunebook_server.domain.schedulers.scheduler import CONTINUE, Decision, Earlier, Kind
from tunebook_server.domain.study_limits import TRIALS_MOST
from tunebook_server.domain.texts import STEP_HIGHEST

TRIALS_FIRST = 5


@dataclass(frozen=True)
class Median:
    """`min_steps`: the first rung; `interval`: steps from one to the next; `min_trials`: how many must have
    come to a rung before anybody stops there."""

    min_steps: int
    interval: int
    min_trials: int = TRIALS_FIRST

    name: ClassVar[str] = "median"
    options: ClassVar[tuple[Option, ...]] = (
        Option("min_steps", "Steps before the first rung"),
        Option("interval", "Steps from one rung to the next"),
        Option("min_trials", "Trials at a rung before one stops there", TRIALS_FIRST),
    )
    copies: ClassVar[bool] = False

    @classmethod
    def parse(cls, options: Document) -> Self:
        options.only("min_steps", "interval", "min_trials")
        return cls(
            options.integer("min_steps", low=1, high=STEP_HIGHEST),
            options.integer("interval", low=1, high=STEP_HIGHEST),
            options.integer("min_trials", low=1, high=TRIALS_MOST, default=TRIALS_FIRST),
        )

    def bracket(self, number: int) -> int:
        return 0

    def next_rung(self, bracket: int, after: int | None) -> int | None:
        if after is None or after < self.min_steps:
            return self.min_steps
        rung = self._at(after) + self.interval
        return rung if rung <= STEP_HIGHEST else None

    def last_rung(self, bracket: int, upto: int) -> int | None:
        return self._at(upto) if upto >= self.min_steps else None

    def decide(self, loss: float, earlier: Earlier) -> Decision:
        if not np.isfinite(loss):
            return Decision(Kind.STOP, "its objective was not finite")
        if len(earlier) < self.min_trials or loss <= (middle := float(np.median(earlier.losses))):
            return CONTINUE
        return Decision(Kind.STOP, f"worse than the median of {len(earlier)} there, {middle:.4g}")

    def _at(self, step: int) -> int:
        return step - (step - self.min_steps) % self.interval

    def document(self) -> dict[str, object]:
        return {"min_steps": self.min_steps, "interval": self.interval, "min_trials": self.min_trials}

    def check(self, *, sampler_learns: bool, has_job: bool) -> None:
        """Fits every design."""

    def warnings(self, *, budget: int) -> tuple[Fault, ...]:
        return prefer_fixed_budget(self.name)

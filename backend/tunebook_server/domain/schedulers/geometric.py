"""Rungs at geometric steps: `min_steps`, times `reduction_factor`, and so on, below `max_steps`."""

from dataclasses import dataclass
from typing import Self

from tunebook_server.domain.document import Document
from tunebook_server.domain.option import Option
from tunebook_server.domain.texts import STEP_HIGHEST

FACTOR, FACTOR_MOST = 3, 16
RUNGS_MOST = 64


OPTIONS = (
    Option("min_steps", "Steps before the first rung"),
    Option("max_steps", "Steps of a whole training"),
    Option("reduction_factor", "From one rung to the next, and how few go on", FACTOR),
)


@dataclass(frozen=True, slots=True)
class Geometric:
    min_steps: int
    max_steps: int
    reduction_factor: int = FACTOR

    @classmethod
    def read(cls, options: Document) -> Self:
        """Both ends are asked for: what a first evaluation is worth, no library can know."""
        low = options.integer("min_steps", low=1, high=STEP_HIGHEST)
        high = options.integer("max_steps", low=1, high=STEP_HIGHEST)
        factor = options.integer("reduction_factor", low=2, high=FACTOR_MOST, default=FACTOR)
        sound = cls(low, high, factor)
        if not options.faults and sound.last == 0:
            problem = f"is {low}, and max_steps {high}: no trial would ever be judged"
            options.fault("min_steps", problem, "Give less than max_steps.")
        return sound

    @property
    def last(self) -> int:
        """How many rungs there are. Hyperband's s_max, where `max_steps` is `min_steps` times a power of the
        factor, as it is there."""
        count, step = 0, self.min_steps
        while step < self.max_steps and count < RUNGS_MOST:
            count, step = count + 1, step * self.reduction_factor
        return count

    def next(self, skipped: int, after: int | None) -> int | None:
        """The first rung behind `after`; the first `skipped` are left out."""
        step = self.min_steps * self.reduction_factor**skipped
        while after is not None and step <= after:
            step *= self.reduction_factor
        return step if step < self.max_steps else None

    def last_at(self, skipped: int, upto: int) -> int | None:
        """The last rung at or before `upto`."""
        found, rung = None, self.next(skipped, None)
        while rung is not None and rung <= upto:
            found, rung = rung, self.next(skipped, rung)
        return found

    def document(self) -> dict[str, object]:
        return {
            "min_steps": self.min_steps,
            "max_steps": self.max_steps,
            "reduction_factor": self.reduction_factor,
        }

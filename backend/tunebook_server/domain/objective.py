"""What a study measures: one metric, its direction, and which evaluation counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tunebook_server.domain.errors import Invalid

Direction = Literal["minimize", "maximize"]
Evaluation = Literal["best", "last"]


@dataclass(frozen=True, slots=True)
class Objective:
    """`evaluation`: "best" is the retrospective best checkpoint (Deep Learning Tuning Playbook,
    "Retrospective optimal checkpoint selection"), "last" the final evaluation."""

    metric: str
    direction: Direction = "minimize"
    evaluation: Evaluation = "best"

    def __post_init__(self) -> None:
        if self.direction not in ("minimize", "maximize"):
            raise Invalid(
                f"direction is {self.direction!r}",
                field="objective.direction",
                remedy="Use minimize or maximize.",
            )
        if self.evaluation not in ("best", "last"):
            raise Invalid(
                f"evaluation is {self.evaluation!r}", field="objective.evaluation", remedy="Use best or last."
            )

    @property
    def sign(self) -> float:
        """Multiplies a value into a loss: lower is better afterwards."""
        return 1.0 if self.direction == "minimize" else -1.0

    def better(self, value: float, than: float | None) -> bool:
        """NaN and infinity are never better."""
        if not math.isfinite(value):
            return False
        return than is None or self.sign * value < self.sign * than

    def evaluate(self, steps: Sequence[int], values: Sequence[float]) -> tuple[float, int] | None:
        """The objective and its step over evaluations in step order; None when none of them counts."""
        if self.evaluation == "last":
            return (values[-1], steps[-1]) if values and math.isfinite(values[-1]) else None
        best: tuple[float, int] | None = None
        for step, value in zip(steps, values, strict=True):
            if self.better(value, best[0] if best else None):
                best = (value, step)
        return best

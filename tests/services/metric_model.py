"""What reports mean, in plain Python: the reference that storage is compared with, bit for bit."""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tunebook_server.domain.batch import Series
from tunebook_server.domain.objective import Objective

Written = Mapping[str, Sequence[tuple[int, float]]]
"""Points by metric, in order of writing."""


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def number(value: float) -> bytes:
    """The bits, with one NaN for all of them: a summary says that a value is none, its curve says which."""
    return bits(math.nan if math.isnan(value) else value)


def columns(written: Written) -> Series:
    return {
        metric: (
            np.array([step for step, _ in points], dtype=np.int64),
            np.array([value for _, value in points], dtype=np.float64),
        )
        for metric, points in written.items()
    }


@dataclass
class Model:
    """`batches` by epoch and sequence; `resumed` by epoch the step that it started from, None for none."""

    batches: dict[int, dict[int, Written]] = field(default_factory=lambda: {1: {}})
    resumed: dict[int, int | None] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        return max(self.batches)

    def resume(self, step: int | None) -> None:
        self.resumed[self.epoch + 1] = step
        self.batches[self.epoch + 1] = {}

    def metrics(self) -> set[str]:
        return {metric for batches in self.batches.values() for batch in batches.values() for metric in batch}

    def visible(self, metric: str) -> dict[int, float]:
        """Value by step, in step order."""
        found: dict[int, float] = {}
        for epoch in sorted(self.batches):
            if epoch > 1:
                start = self.resumed[epoch]
                found = {step: value for step, value in found.items() if start is not None and step <= start}
            found |= self.reported(metric, epoch)
        return dict(sorted(found.items()))

    def reported(self, metric: str, epoch: int) -> dict[int, float]:
        found: dict[int, float] = {}
        for sequence in sorted(self.batches[epoch]):
            found |= dict(self.batches[epoch][sequence].get(metric, ()))
        return dict(sorted(found.items()))

    def superseded(self, metric: str, epoch: int) -> dict[int, float]:
        starts = [start for later, start in self.resumed.items() if later > epoch]
        if not starts:
            return {}
        limit = min(-1 if start is None else start for start in starts)
        return {step: value for step, value in self.reported(metric, epoch).items() if step > limit}

    def score(self, objective: Objective) -> tuple[float | None, int | None, int | None, int]:
        """Objective, best step, last step, points."""
        visible = self.visible(objective.metric)
        steps, values = list(visible), list(visible.values())
        best, best_step = objective.evaluate(steps, values) or (None, None)
        return best, best_step, steps[-1] if steps else None, len(steps)


def extremes(points: Mapping[int, float]) -> tuple[float | None, float | None]:
    finite = [value for value in points.values() if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (None, None)

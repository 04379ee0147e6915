"""Points as bytes: little-endian int64 steps and float64 values, every bit kept.

Steps inside a chunk increase strictly. Evenly spaced steps, the usual case, take no bytes at all: the first
step, the last step and the count say everything.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Values = NDArray[np.float64]

STEP = np.dtype("<i8")
VALUE = np.dtype("<f8")


@dataclass(frozen=True, slots=True)
class Points:
    """Two arrays of one length; `steps` increase strictly."""

    steps: Steps
    values: Values

    def __len__(self) -> int:
        return len(self.steps)

    def between(self, first_step: int | None, last_step: int | None) -> "Points":
        """The points of a range of steps, both ends included; None leaves an end open."""
        start = 0 if first_step is None else int(np.searchsorted(self.steps, first_step, side="left"))
        end = len(self) if last_step is None else int(np.searchsorted(self.steps, last_step, side="right"))
        return Points(self.steps[start:end], self.values[start:end])

    def at(self, places: NDArray[np.intp]) -> "Points":
        return Points(self.steps[places], self.values[places])


NO_POINTS = Points(np.empty(0, dtype=STEP), np.empty(0, dtype=VALUE))


def merge(parts: list[Points]) -> Points:
    """One series out of several, in order of writing: the last write of a step wins."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return NO_POINTS
    steps = np.concatenate([part.steps for part in parts])
    values = np.concatenate([part.values for part in parts])
    if (steps[1:] > steps[:-1]).all():
        return Points(steps, values)
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    last = np.append(steps[1:] != steps[:-1], True)
    return Points(steps[last], values[last])


def encode_steps(steps: Steps) -> bytes:
    """No bytes for evenly spaced steps, else 8 a step."""
    gaps = np.diff(steps)
    return b"" if (gaps[1:] == gaps[:-1]).all() else steps.astype(STEP, copy=False).tobytes()


def encode_values(values: Values) -> bytes:
    return values.astype(VALUE, copy=False).tobytes()


def decode(steps: bytes, values: bytes, *, first_step: int, last_step: int) -> Points:
    """The inverse of the two encoders; the arrays are read-only views of the bytes where they can be."""
    column = np.frombuffer(values, dtype=VALUE)
    if steps:
        return Points(np.frombuffer(steps, dtype=STEP), column)
    stride = (last_step - first_step) // (len(column) - 1) if len(column) > 1 else 0
    return Points(first_step + stride * np.arange(len(column), dtype=STEP), column)

"""Trials by the value of one hyperparameter: by choice, by whole number, or by equal parts of a range."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.search_space import Float, Hyperparameter, Integer
from tunebook_server.domain.trial_columns import choices

MOST_PARTS = 8  # of a range: more would leave a handful of trials in each
WHOLE_NUMBERS = 12  # up to here every whole number stands for itself
TRIALS_A_PART = 5  # fewer parts rather than fewer trials in each


@dataclass(frozen=True, slots=True)
class ValueGroups:
    """`member` holds each trial's place among the groups, -1 where it has no value; `first` and `last` are
    the ends of a part, or twice the one value (of a choice, its place)."""

    first: NDArray[np.float64]
    last: NDArray[np.float64]
    member: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)


def group(parameter: Hyperparameter, values: NDArray[np.float64], *, parts: int | None = None) -> ValueGroups:
    """Every choice and every small whole number by itself; a wider range in parts equal on its own scale.

    `parts` is by default one for every five trials, 2 to 8. Values beyond the range count to its outer parts.
    """
    if not isinstance(parameter, Float | Integer):
        return _singles(values, 0, len(choices(parameter)) - 1)
    if isinstance(parameter, Integer) and parameter.high - parameter.low < WHOLE_NUMBERS:
        return _singles(values, parameter.low, parameter.high)
    here = np.isfinite(values) & ((values > 0) | (parameter.scale != "log"))
    parts = parts or min(max(int(here.sum()) // TRIALS_A_PART, 2), MOST_PARTS)
    spaced = np.geomspace if parameter.scale == "log" else np.linspace
    edges = spaced(parameter.low, parameter.high, parts + 1)
    edges[-1] = parameter.high  # geomspace may end a rounding error lower
    member = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, parts - 1)
    return ValueGroups(edges[:-1], edges[1:], np.where(here, member, -1))


def _singles(values: NDArray[np.float64], low: int, high: int) -> ValueGroups:
    each = np.arange(low, high + 1, dtype=np.float64)
    here = np.isfinite(values)
    member = np.clip(np.rint(np.where(here, values, low)) - low, 0, high - low).astype(np.int64)
    return ValueGroups(each, each, np.where(here, member, -1))

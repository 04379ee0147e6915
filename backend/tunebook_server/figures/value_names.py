"""What the values of a hyperparameter, and parts of its range, are called and how they look."""

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.value_groups import ValueGroups
from tunebook_server.figures import labels, theme
from tunebook_server.figures.axis import Scale

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon")
"""Beside the colours of `theme.SERIES`: a reader need not tell them by colour alone."""
COLOURED_VALUES = len(theme.SERIES)


def name(scale: Scale, first: float, last: float) -> str:
    """`adam`, `3`, or `1e-4 to 0.001`; as the user wrote it: escape it with `labels.plain`."""
    if scale.names:
        return scale.names[int(first)]
    if first == last:
        return labels.significant(first)
    return f"{labels.significant(first, 3)} to {labels.significant(last, 3)}"


def names(scale: Scale, groups: ValueGroups) -> list[str]:
    return [name(scale, *ends) for ends in zip(groups.first, groups.last, strict=True)]


def coloured(groups: ValueGroups, losses: NDArray[np.float64]) -> list[int]:
    """The places of the values that get a colour of their own, in order: those with the best trials.

    `losses`: one a trial, NaN for those that are not shown.
    """
    best = np.full(len(groups), np.inf)
    shown = (groups.member >= 0) & np.isfinite(losses)
    np.minimum.at(best, groups.member[shown], losses[shown])
    order = np.argsort(best, kind="stable")[:COLOURED_VALUES]
    return sorted(int(place) for place in order if np.isfinite(best[place]))

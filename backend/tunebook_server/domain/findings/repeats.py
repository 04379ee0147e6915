"""How much the objective differs between trainings of one configuration (the playbook's trial variance)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.trial_columns import TrialColumns

NEEDED_REPEATS = 3  # beyond the first training of each configuration: a spread of fewer says little


@dataclass(frozen=True, slots=True)
class Repeats:
    """`deviation`: the pooled standard deviation; `free`: its degrees of freedom, the trainings beyond the
    first of each configuration."""

    deviation: float
    free: int


def repeat_deviation(columns: TrialColumns, objective: Objective) -> float | None:
    """The pooled standard deviation over configurations that were trained more than once; None without
    enough of them."""
    found = repeats(columns, objective)
    return None if found is None else found.deviation


def repeats(columns: TrialColumns, objective: Objective) -> Repeats | None:
    """None with fewer than 3 degrees of freedom. Divergent trials are left out: one of them would be all of
    the deviation."""
    counted = columns.feasible & ~columns.divergent(objective)
    if not counted.any() or not columns.values:
        return None
    values = [np.nan_to_num(column[counted], nan=-np.inf) for column in columns.values.values()]
    _, owner, counts = np.unique(np.column_stack(values), axis=0, return_inverse=True, return_counts=True)
    free = int((counts - 1).sum())
    if free < NEEDED_REPEATS:
        return None
    losses, owner = columns.objective[counted], owner.reshape(-1)
    means = np.bincount(owner, losses / counts[owner])
    with np.errstate(over="ignore"):
        deviation = float(np.sqrt(((losses - means[owner]) ** 2).sum() / free))
    return Repeats(deviation, free) if np.isfinite(deviation) else None


def pooled(found: Sequence[Repeats]) -> Repeats | None:
    """Of several studies of one objective; None without any."""
    free = sum(each.free for each in found)
    if not free:
        return None
    return Repeats(float(np.sqrt(sum(each.free * each.deviation**2 for each in found) / free)), free)

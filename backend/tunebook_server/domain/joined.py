"""Trials of several studies as those of one: whatever compares groups of trials then compares studies too."""

from collections.abc import Sequence

import numpy as np

from tunebook_server.domain.trial_columns import TrialColumns
from tunebook_server.domain.value_groups import ValueGroups

KEY = "study"
"""What the groups are told apart by, where a key of a hyperparameter would stand."""


def joined(studies: Sequence[TrialColumns]) -> tuple[TrialColumns, ValueGroups]:
    """The trials of one study after those of another, and a group a study, in the order given.

    Hyperparameters are left out: the same key may mean another range in each. The studies must have one
    objective; trial numbers repeat, ids do not.
    """
    places = np.arange(len(studies), dtype=np.float64)
    owner = np.repeat(np.arange(len(studies), dtype=np.int64), [len(each) for each in studies])
    columns = TrialColumns(
        ids=np.concatenate([each.ids for each in studies]),
        numbers=np.concatenate([each.numbers for each in studies]),
        states=np.concatenate([each.states for each in studies]),
        objective=np.concatenate([each.objective for each in studies]),
        best_step=np.concatenate([each.best_step for each in studies]),
        last_step=np.concatenate([each.last_step for each in studies]),
        values={KEY: owner.astype(np.float64)},
        finished_at=np.concatenate([each.finished_at for each in studies]),
    )
    return columns, ValueGroups(places, places, owner)

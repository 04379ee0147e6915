"""What a sampler learns from where a scheduler ends trials early."""

import numpy as np

from tunebook_server.domain.samplers.fidelity import Reached, at_one_fidelity
from tunebook_server.domain.samplers.history import Fate, History
from tunebook_server.domain.samplers.tpe import split

ENOUGH = 3


def reached(*rows: tuple[int, int, float]) -> Reached:
    ids, steps, losses = zip(*rows, strict=True)
    return Reached(np.array(ids, np.int64), np.array(steps, np.int64), np.array(losses, np.float64))


def history(*fates: Fate) -> History:
    losses = np.where(np.isin(fates, [Fate.FINISHED, Fate.STOPPED]), 0.05, np.nan)
    return History(np.zeros((len(fates), 1)), losses, np.array(fates, np.int8))


def learned(found: History) -> list[tuple[str, float | None]]:
    return [
        (Fate(fate).name, None if np.isnan(loss) else float(loss))
        for fate, loss in zip(found.fates.tolist(), found.losses.tolist(), strict=True)
    ]


def test_the_highest_rung_with_enough_trials_counts() -> None:
    rows = [(1, 5, 0.9), (2, 5, 0.8), (3, 5, 0.7), (4, 5, 0.6), (2, 15, 0.5), (3, 15, 0.4), (4, 15, 0.3)]
    fates = (Fate.STOPPED, Fate.STOPPED, Fate.PENDING, Fate.FINISHED)
    found = at_one_fidelity(history(*fates), np.arange(1, 5), reached(*rows, (4, 45, 0.2)), ENOUGH)
    assert learned(found) == [("STOPPED", None), ("FINISHED", 0.5), ("FINISHED", 0.4), ("FINISHED", 0.3)]


def test_before_that_the_rung_with_most() -> None:
    rows = reached((1, 5, 0.9), (2, 5, 0.8), (2, 15, 0.5))
    found = at_one_fidelity(history(Fate.STOPPED, Fate.FINISHED), np.arange(1, 3), rows, ENOUGH)
    assert learned(found) == [("FINISHED", 0.9), ("FINISHED", 0.8)]


def test_ends_count_where_enough_came_there() -> None:
    fates = (Fate.FINISHED, Fate.FINISHED, Fate.FINISHED, Fate.STOPPED, Fate.PENDING)
    rows = reached((1, 5, 0.9), (4, 5, 0.8), (5, 5, 0.7))
    found = at_one_fidelity(history(*fates), np.arange(1, 6), rows, ENOUGH)
    assert learned(found) == [*[("FINISHED", 0.05)] * 3, ("STOPPED", None), ("PENDING", None)]


def test_what_went_past_the_rung_in_another_bracket_is_left_aside() -> None:
    """It is neither good nor bad there; the same trial stopped before the rung is bad."""
    rows = reached((1, 15, 0.5), (2, 15, 0.4), (3, 15, 0.3), (4, 45, 0.01), (6, 5, 0.9))
    fates = (Fate.STOPPED, Fate.PENDING, Fate.PENDING, Fate.STOPPED, Fate.FINISHED, Fate.STOPPED)
    found = at_one_fidelity(history(*fates), np.arange(1, 7), rows, ENOUGH)
    ended = [("ASIDE", None), ("ASIDE", None), ("STOPPED", None)]
    assert learned(found) == [("FINISHED", 0.5), ("FINISHED", 0.4), ("FINISHED", 0.3), *ended]
    good, others = split(found)
    assert sorted([*good, *others]) == [0, 1, 2, 5]


def test_a_value_that_was_not_finite_is_infeasible() -> None:
    rows = reached((1, 5, np.inf), (2, 5, 0.5), (3, 5, np.inf))
    fates = (Fate.STOPPED, Fate.STOPPED, Fate.PENDING)
    found = at_one_fidelity(history(*fates), np.arange(1, 4), rows, 1)
    assert learned(found) == [("INFEASIBLE", None), ("FINISHED", 0.5), ("PENDING", None)]


def test_nothing_judged_yet_changes_nothing_but_stopped_ones() -> None:
    rows = Reached(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    found = at_one_fidelity(history(Fate.FINISHED, Fate.STOPPED), np.arange(1, 3), rows, ENOUGH)
    assert learned(found) == [("FINISHED", 0.05), ("STOPPED", None)]

"""What a sampler learns from where trials end early: values of one and the same step.

As in BOHB (Falkner et al., 2018, section 3.2): the highest rung counts at which enough trials have been
judged. A value of a shorter training is not one of a longer one, and says nothing beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunebook_server.domain.samplers.history import Fate, History

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reached:
    """Three arrays of one length: which trial had which loss at which rung."""

    trial_ids: NDArray[np.int64]
    steps: NDArray[np.int64]
    losses: Array

    def __len__(self) -> int:
        return len(self.steps)

    def with_more(self, trial_ids: Sequence[int], steps: Sequence[int], losses: Sequence[float]) -> "Reached":
        return Reached(
            np.concatenate([self.trial_ids, np.array(trial_ids, np.int64)]),
            np.concatenate([self.steps, np.array(steps, np.int64)]),
            np.concatenate([self.losses, np.array(losses, np.float64)]),
        )


def at_one_fidelity(history: History, ids: NDArray[np.int64], reached: Reached, enough: int) -> History:
    """`ids`: of the history's trials, row by row. Where `enough` trials have come to their end, their ends
    count. Else those that were judged at the chosen rung are finished, whatever became of them; what was
    stopped before has no loss, what went past it in another bracket is left aside, and what still runs is
    pending."""
    if not len(reached) or int(history.of(Fate.FINISHED).sum()) >= enough:
        stopped = history.of(Fate.STOPPED)
        return History(history.points, np.where(stopped, np.nan, history.losses), history.fates)
    rung = _chosen(reached, enough)
    losses = _losses_at(rung, ids, reached)
    there = np.isfinite(losses) & ~history.of(Fate.INFEASIBLE)
    fates = np.where(there, np.int8(Fate.FINISHED), history.fates).astype(np.int8)
    # Trained past the rung without a value at it: judged in another bracket that has none there.
    past = history.of(Fate.FINISHED) | (history.of(Fate.STOPPED) & (_furthest(ids, reached) > rung))
    fates[~there & past] = Fate.ASIDE
    fates[np.isposinf(losses) & ~history.of(Fate.PENDING)] = Fate.INFEASIBLE
    return History(history.points, np.where(there, losses, np.nan), fates)


def _chosen(reached: Reached, enough: int) -> int:
    """The highest rung with enough trials; where none has, the one with most, and of those the lowest."""
    steps, counts = np.unique(reached.steps[np.isfinite(reached.losses)], return_counts=True)
    if not len(steps):
        return int(reached.steps.min())
    sufficient = np.flatnonzero(counts >= enough)
    return int(steps[sufficient[-1] if len(sufficient) else np.argmax(counts)])


def _furthest(ids: NDArray[np.int64], reached: Reached) -> NDArray[np.int64]:
    """Row by row the last rung at which a trial was judged; 0 for none."""
    known, places = np.unique(reached.trial_ids, return_inverse=True)
    last = np.zeros(len(known), np.int64)
    np.maximum.at(last, places, reached.steps)
    at = np.searchsorted(known, ids).clip(max=len(known) - 1)
    return np.where(known[at] == ids, last[at], 0)


def _losses_at(step: int, ids: NDArray[np.int64], reached: Reached) -> Array:
    """Row by row; NaN for a trial that was not judged there."""
    here = reached.steps == step
    by_trial = dict(zip(reached.trial_ids[here].tolist(), reached.losses[here].tolist(), strict=True))
    return np.array([by_trial.get(trial_id, np.nan) for trial_id in ids.tolist()], dtype=np.float64)

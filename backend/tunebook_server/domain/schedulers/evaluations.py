"""At which rungs a trial arrives with a report, and with what."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from tunebook_server.domain.chunk import Points
from tunebook_server.domain.curve import Score, after, score, summarise
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.schedulers.scheduler import Scheduler

RUNGS_A_REPORT = 64
"""The last of them: a report may pass very many rungs that lie close together."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """`loss`: infinite where the objective was not finite."""

    rung: int
    loss: float


def arrivals(
    scheduler: Scheduler,
    *,
    bracket: int,
    decide_at: int,
    objective: Objective,
    before: Score,
    evaluations: Points,
) -> tuple[list[Arrival], int | None]:
    """The rungs from `decide_at` on that these evaluations reach, each with what the trial had there, and the
    rung after them. `before`: of the evaluations before these. An evaluation that passes several rungs
    counts for the last of them."""
    steps, passed, end = evaluations.steps, deque[tuple[int, int]](), len(evaluations)
    # From the last one backwards: a report may pass very many rungs, and only so many are looked at.
    while end and steps[end - 1] >= decide_at and len(passed) < RUNGS_A_REPORT:
        at = max(scheduler.last_rung(bracket, int(steps[end - 1])) or decide_at, decide_at)
        end = int(np.searchsorted(steps, at))
        passed.appendleft((at, end))
    reached = [(at, evaluations.at(np.arange(place + 1))) for at, place in passed]
    after = scheduler.next_rung(bracket, int(steps[-1])) if passed else decide_at
    return [Arrival(at, _loss(scheduler, objective, before, points)) for at, points in reached], after


def as_loss(objective: Objective, value: float | None) -> float:
    return objective.sign * value if value is not None and np.isfinite(value) else np.inf


def _loss(scheduler: Scheduler, objective: Objective, before: Score, reached: Points) -> float:
    last = float(reached.values[-1])
    if scheduler.copies or not np.isfinite(last):
        return as_loss(objective, last)
    return as_loss(objective, after(objective, before, score(objective, summarise(reached))).objective)

"""Population-based training in `benchmarks.multi_fidelity`."""

import heapq
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from benchmarks.learning_curves import SPACE
from benchmarks.multi_fidelity_methods import Table
from tunebook_server.domain.schedulers.perturbing import perturbed
from tunebook_server.domain.schedulers.population import Member, Population

MEMBERS, INTERVAL = 30, 9
"""Of a population, and the epochs of a turn."""


def epochs_of_populations(table: Table, seed: int, target: float, *, workers: int, most: int) -> int | None:
    """Of all members, of one population after another, until an evaluation reaches the target."""
    whole = MEMBERS * table.epochs
    for number in range(most // whole):
        training = Training(table, np.random.default_rng([seed, number]))
        spent = training.epochs_until(target, workers)
        if spent is not None:
            return number * whole + spent
    return None


@dataclass
class Training:
    """A member trains for a turn, waits behind all the others, and is judged when its turn comes again."""

    table: Table
    chance: np.random.Generator
    rows: list[int] = field(init=False)
    epochs: list[int] = field(default_factory=lambda: [0] * MEMBERS)
    reached: dict[int, dict[int, float]] = field(default_factory=dict)
    """By member and rung: its last loss."""

    def __post_init__(self) -> None:
        self.rows = self.chance.choice(len(self.table.points), MEMBERS, replace=False).tolist()
        self._pbt = Population(interval=INTERVAL, max_steps=self.table.epochs)

    def epochs_until(self, target: float, workers: int) -> int | None:
        waiting = deque(range(MEMBERS))
        places = [(1, waiting.popleft()) for _ in range(workers)]
        spent = 0
        while places:
            at, number = heapq.heappop(places)
            loss = float(self.table.losses[self.rows[number], self.epochs[number]])
            spent += 1
            if loss <= target:
                return spent
            self.epochs[number] += 1
            if self.epochs[number] % INTERVAL == 0:
                self.reached.setdefault(number, {})[self.epochs[number]] = loss
                if self.epochs[number] < self.table.epochs:
                    waiting.append(number)
                if not waiting:
                    continue
                number = waiting.popleft()
                self._begin_turn(number)
            heapq.heappush(places, (at + 1, number))
        return None

    def _begin_turn(self, number: int) -> None:
        """With its own values, or near those of a member that leads."""
        epoch = self.epochs[number]
        if not epoch:
            return
        members = {
            each: Member(each, losses[max(step for step in losses if step <= epoch)])
            for each, losses in self.reached.items()
            if min(losses) <= epoch
        }
        own = members.pop(number)
        parent = self._pbt.parent(own, list(members.values()), self.chance)
        if parent is not None:
            values = SPACE.from_unit(self.table.points[self.rows[parent.trial_id]])
            values = perturbed(SPACE, values, self._pbt, self.chance)
            self.rows[number] = self.table.nearest(SPACE.to_unit(values), set())

"""What should happen, in plain Python: the model that the lifecycle machine compares the services with.

It knows nothing of SQL, locks or clocks; where it and the services differ, one of them is wrong.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from tunebook_server.domain.errors import Conflict, Fenced, Gone, Invalid, Mismatch, TunebookError

BUDGET, PARALLEL, AHEAD, MAX_ATTEMPTS = 6, 2, 1, 2
HELD = ("claimed", "running")
Expected = type[TunebookError] | None


@dataclass
class Job:
    """A process that once got a claim; it may go on writing long after it has lost it."""

    trial_id: int
    epoch: int
    token: str
    generation: int
    resume_step: int
    sequence: int = 0


@dataclass(frozen=True)
class Message:
    """One write of a job, which may be delivered late, twice, out of order, or never."""

    kind: str
    job: Job
    content: tuple[Any, ...] = ()


@dataclass
class ModelTrial:
    id: int
    number: int
    state: str = "queued"
    epoch: int = 0
    attempts: int = 0
    cancelled: bool = False
    poisoned: bool = False
    hinted: bool = False
    expired: bool = False
    started: bool = False
    client: str | None = None
    resumed: dict[int, int | None] = field(default_factory=dict)
    batches: dict[tuple[int, int], tuple[tuple[int, float], ...]] = field(default_factory=dict)
    checkpoints: dict[tuple[int, int], str] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)
    endings: dict[int, tuple[object, ...]] = field(default_factory=dict)
    outcomes: dict[int, str] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return self.state in HELD

    def reported(self, epoch: int) -> dict[int, float]:
        """Step to value; of two values for a step that of the higher sequence."""
        batches = sorted((sequence, points) for (at, sequence), points in self.batches.items() if at == epoch)
        return {step: value for _, points in batches for step, value in points}

    def visible(self) -> dict[int, float]:
        """What later attempts left valid: up to the step that each of them resumed from."""
        curve: dict[int, float] = {}
        for epoch in self.resumed:
            later = [step for at, step in self.resumed.items() if at > epoch]
            limit = min((-1 if step is None else step for step in later), default=math.inf)
            curve |= {step: value for step, value in self.reported(epoch).items() if step <= limit}
        return curve

    @property
    def objective(self) -> float | None:
        return min((value for value in self.visible().values() if math.isfinite(value)), default=None)


@dataclass
class Model:
    state: str = "running"
    generation: int = 0
    lost: int = 0
    trials: dict[int, ModelTrial] = field(default_factory=dict)

    def in_order(self, *states: str) -> list[ModelTrial]:
        found = [trial for trial in self.trials.values() if trial.state in states]
        return sorted(found, key=lambda trial: trial.number)

    @property
    def best(self) -> int | None:
        ranked = [
            (trial.objective, trial.number, trial.id)
            for trial in self.trials.values()
            if trial.objective is not None and trial.state not in ("failed", "infeasible")
        ]
        return min(ranked)[2] if ranked else None

    @property
    def room(self) -> int:
        return BUDGET - len(self.trials)

    def to_create(self) -> int:
        """What `fill` would queue."""
        opened = len(self.in_order("queued", *HELD))
        return max(min(PARALLEL + AHEAD - opened, self.room), 0) if self.state == "running" else 0

    def after_fill(self) -> None:
        if self.state == "running" and not self.room and not self.in_order("queued", *HELD):
            self.state = "finished"

    def due_hints(self) -> list[int]:
        """The first queued trials, one a free place, unless they had a hint lately; they have one now."""
        if self.state != "running":
            return []
        free = max(PARALLEL - len(self.in_order(*HELD)), 0)
        due = [trial for trial in self.in_order("queued")[:free] if not trial.hinted]
        for trial in due:
            trial.hinted = True
        return [trial.id for trial in due]

    def expect_claim(self, trial: ModelTrial) -> Expected:
        held = len(self.in_order(*HELD))
        if trial.state != "queued" or self.state != "running" or held >= PARALLEL:
            trial.hinted = trial.hinted and trial.state != "queued"
            return Conflict
        return None

    def hold(self, trial: ModelTrial, *, state: str, client: str | None = None) -> None:
        trial.epoch += 1
        trial.attempts += 1
        trial.state, trial.client, trial.expired = state, client, False
        trial.started, trial.poisoned = state == "running", False
        trial.resumed[trial.epoch] = max(trial.checkpoints)[1] if trial.checkpoints else None

    def sweep(self) -> list[int]:
        """Ends what has expired; returns the trials that are queued again."""
        expired = [trial for trial in self.trials.values() if trial.held and trial.expired]
        for trial in expired:
            self._end(trial, "lost")
            self.lost += 1
            trial.hinted = trial.state == "queued"
        return [trial.id for trial in expired if trial.state == "queued"]

    def cancel(self, trial: ModelTrial) -> Expected:
        if trial.cancelled:
            return None
        if trial.held:
            trial.cancelled = True
        elif trial.state == "queued":
            trial.state = "stopped"
        else:
            return Conflict
        return None

    def retry(self, trial: ModelTrial) -> Expected:
        if trial.state != "failed":
            return Conflict
        trial.state, trial.hinted, trial.poisoned, trial.cancelled = "queued", False, False, False
        if self.state == "finished":
            self.state = "running"
        return None

    def receive(self, message: Message) -> Expected:
        """What the server should answer to a job's write, and what it should keep of it."""
        job, trial = message.job, self.trials[message.job.trial_id]
        if job.generation != self.generation:
            return Fenced
        expected: Expected = getattr(self, f"_{message.kind}")(trial, job.epoch, *message.content)
        return expected

    def _fence(self, trial: ModelTrial, epoch: int) -> Expected:
        return None if trial.held and trial.epoch == epoch else Fenced

    def _start(self, trial: ModelTrial, epoch: int) -> Expected:
        if self._fence(trial, epoch):
            return Fenced
        trial.state, trial.started = "running", True
        return None

    def _beat(self, trial: ModelTrial, epoch: int) -> Expected:
        if self._fence(trial, epoch):
            return Fenced
        trial.expired = False
        return Gone if trial.cancelled else None

    def _report(
        self, trial: ModelTrial, epoch: int, sequence: int, points: tuple[tuple[int, float], ...]
    ) -> Expected:
        earlier = trial.batches.get((epoch, sequence))
        if trial.epoch == epoch and earlier is not None:
            return None if repr(earlier) == repr(points) else Mismatch
        if self._fence(trial, epoch):
            trial.dropped[epoch] = trial.dropped.get(epoch, 0) + len(points)
            return Fenced
        trial.batches[epoch, sequence] = points
        trial.state = "running"
        return None

    def _checkpoint(self, trial: ModelTrial, epoch: int, step: int, uri: str) -> Expected:
        if self._fence(trial, epoch):
            return Fenced
        earlier = trial.checkpoints.get((epoch, step))
        if earlier is not None:
            return None if earlier == uri else Mismatch
        folder = uri.rpartition("/")[0]
        others = {known.rpartition("/")[0] for (at, _), known in trial.checkpoints.items() if at != epoch}
        if any(f"{folder}/".startswith(f"{path}/") for path in others):
            return Invalid
        trial.checkpoints[epoch, step] = uri
        return None

    def _finish(self, trial: ModelTrial, epoch: int, outcome: str, dropped: int) -> Expected:
        if epoch in trial.endings:
            return None if trial.endings[epoch][0] == outcome else Mismatch
        if self._fence(trial, epoch):
            return Fenced
        trial.endings[epoch] = (outcome,)
        trial.dropped[epoch] = trial.dropped.get(epoch, 0) + dropped
        final = False
        if outcome == "completed" and trial.objective is None:
            outcome = "infeasible" if trial.visible() else "failed"
            final = outcome == "failed" and not dropped
        self._end(trial, outcome, final=final)
        return None

    def _release(self, trial: ModelTrial, epoch: int) -> Expected:
        return self._finish(trial, epoch, "released", 0)

    def _end(self, trial: ModelTrial, outcome: str, *, final: bool = False) -> None:
        trial.outcomes[trial.epoch] = outcome
        trial.hinted = trial.expired = False
        if outcome in ("completed", "infeasible", "stopped"):
            trial.state = outcome
        elif trial.cancelled:
            trial.state = "stopped"
        elif outcome == "released" or (trial.attempts < MAX_ATTEMPTS and not final):
            trial.state = "queued"
        else:
            trial.state = "failed"
            charged = [each for each in trial.outcomes.values() if each != "released"]
            trial.poisoned = all(each == "lost" for each in charged)
        if outcome == "released":
            trial.attempts -= 1

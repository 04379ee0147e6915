"""Population-based training: members that lag go on from the checkpoint of one that leads, with other values.

Jaderberg et al., "Population based training of neural networks", 2017: truncation selection, then values that
are perturbed or drawn anew. A member trains from rung to rung, gives its place to the others, and is judged
when its turn comes again: so a population of any size trains on any number of places, and nobody waits at a
barrier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from tunebook_server.domain.document import Document
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.option import Option
from tunebook_server.domain.schedulers.scheduler import Decision, Earlier, Kind
from tunebook_server.domain.texts import STEP_HIGHEST

SHARE, FACTOR, ANEW = 0.25, 1.25, 0.25
MEMBERS_LEAST = 4


@dataclass(frozen=True, slots=True)
class Member:
    """Where a trial stands: its last evaluation at a rung that the judged one has reached, too."""

    trial_id: int
    loss: float
    sound: bool = True
    """Whether its newest evaluation at a rung is finite: its last checkpoint may be of a later one."""


@dataclass(frozen=True)
class Population:
    """`interval`: steps from one rung to the next; `share`: of all members, those that lag, and those that
    lead."""

    interval: int
    max_steps: int
    share: float = SHARE
    factor: float = FACTOR
    """A number is multiplied or divided by it; on a linear scale that reaches zero or below, moved by as
    much of the range."""
    anew: float = ANEW
    """How likely a value is drawn anew instead."""
    explore: str = "chance"
    """`chance` or `model`: where the values of a copy come from."""
    kept: tuple[str, ...] = ()
    """Names of hyperparameters that a copy takes over as they are: those that its weights depend on."""

    name: ClassVar[str] = "pbt"
    options: ClassVar[tuple[Option, ...]] = (
        Option("interval", "Steps from one rung to the next"),
        Option("max_steps", "Steps of a whole training"),
        Option("share", "Of the members, how many lag, and how many lead", SHARE),
        Option("factor", "Numbers are multiplied or divided by it", FACTOR),
        Option("anew", "How likely a value is drawn anew", ANEW),
        Option("explore", "New values by chance or model", "chance"),
        Option("kept", "Hyperparameters that a copy takes over as they are", "", many=True),
    )
    copies: ClassVar[bool] = True

    @classmethod
    def parse(cls, options: Document) -> Self:
        options.only("interval", "max_steps", "share", "factor", "anew", "explore", "kept")
        made = cls(
            options.integer("interval", low=1, high=STEP_HIGHEST),
            options.integer("max_steps", low=1, high=STEP_HIGHEST),
            _number(options, "share", SHARE, low=0.01, high=0.5),
            _number(options, "factor", FACTOR, low=1.01, high=10.0),
            _number(options, "anew", ANEW, low=0.0, high=1.0),
            options.word("explore", ("chance", "model"), default="chance"),
            _names(options),
        )
        if not options.faults and made.interval >= made.max_steps:
            problem = f"is {made.interval}, and max_steps {made.max_steps}: nobody would ever be judged"
            options.fault("interval", problem, "Give a tenth of max_steps or so.")
        return made

    def bracket(self, number: int) -> int:
        return 0

    def next_rung(self, bracket: int, after: int | None) -> int | None:
        rung = ((after or 0) // self.interval + 1) * self.interval
        return rung if rung < self.max_steps else None

    def last_rung(self, bracket: int, upto: int) -> int | None:
        rung = min(upto, self.max_steps - 1) // self.interval * self.interval
        return rung or None

    def decide(self, loss: float, earlier: Earlier) -> Decision:
        return Decision(Kind.PAUSE, "its turn ends here: the others of the population go on")

    def parent(self, own: Member, others: Sequence[Member], chance: np.random.Generator) -> Member | None:
        """Whose checkpoint a member goes on from; None for its own. It lags where it is among the worst
        `share` of all; its parent is any of the best."""
        members = sorted((own, *others), key=lambda each: (each.loss, each.trial_id))
        places = max(1, int(len(members) * self.share))
        if len(members) < MEMBERS_LEAST or own not in members[-places:]:
            return None
        leaders = [each for each in members[:places] if np.isfinite(each.loss) and each.sound]
        return leaders[int(chance.integers(len(leaders)))] if leaders else None

    def document(self) -> dict[str, object]:
        return {
            "interval": self.interval,
            "max_steps": self.max_steps,
            "share": self.share,
            "factor": self.factor,
            "anew": self.anew,
            "explore": self.explore,
            "kept": list(self.kept),
        }

    def check(self, *, sampler_learns: bool, has_job: bool) -> None:
        if not has_job:
            raise Invalid(
                "pbt copies checkpoints between jobs that workers start, and the study has no job",
                field="scheduler.name",
                remedy="Give the study a job template.",
            )

    def warnings(self, *, budget: int) -> tuple[Fault, ...]:
        found = [
            Fault(
                "scheduler.name",
                "pbt tunes a schedule of values, not values: what a member ends with is not what it was "
                "trained with, and the findings compare members by that",
                "Use it where only the best model counts, and look at the lineage.",
            )
        ]
        if budget < MEMBERS_LEAST:
            problem = f"a population of {budget} never copies: it has nobody who leads and lags"
            found.append(
                Fault("budget.trials", problem, f"Give {MEMBERS_LEAST} trials or more; 8 are usual.")
            )
        return tuple(found)


def _number(options: Document, key: str, default: float, *, low: float, high: float) -> float:
    value = options.number(key) if key in options else default
    if value < low or value > high:
        options.fault(key, f"is {value:g}", f"Give a number from {low:g} to {high:g}.")
        return default
    return value


def _names(options: Document) -> tuple[str, ...]:
    if "kept" not in options or options.get("kept") in ([], ()):
        return ()
    given = options.items("kept", most=1000)
    names = tuple(name for name in given if isinstance(name, str))
    if len(names) < len(given):
        options.fault("kept", "has something that is not a name", "Give names of hyperparameters.")
    return names

"""A study: what it asks, and the design document it is made from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tunebook_server.domain import constraint, retention, study_parts
from tunebook_server.domain.constraint import Constraint
from tunebook_server.domain.document import Document, refuse
from tunebook_server.domain.edition import edition
from tunebook_server.domain.errors import Fault
from tunebook_server.domain.findings import thresholds
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.retention import DEFAULT, Retention
from tunebook_server.domain.samplers import Sampler, automatic, sampler
from tunebook_server.domain.schedulers import BOHB, NONE, Scheduler, scheduler
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study_limits import ATTEMPTS, NAME_LONGEST, TEXT_LONGEST

StudyState = Literal["running", "paused", "finished"]


@dataclass(frozen=True)
class Study:
    id: int
    project_id: int
    round_id: int | None
    name: str
    goal: str
    note: str
    conclusion: str
    state: StudyState
    objective: Objective
    space: SearchSpace
    space_version: int
    sampler: str
    sampler_options: Mapping[str, object]
    seed: int
    budget: int
    parallel: int
    max_attempts: int
    job_template_id: int | None
    best_trial_id: int | None
    revision: int
    next_number: int
    next_sample_index: int
    """The place of the next trial in the sampler's sequence."""
    counts: Mapping[str, int]
    created_by: str
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None = None
    checks: Mapping[str, float] = field(default_factory=dict)
    """Thresholds of the checklist that it overrides, by name."""
    parents: tuple[int, ...] = ()
    """Ids of the studies that it follows."""
    priority: int = 0
    """Before the other studies of its project when it is higher."""
    weight: float = 1.0
    """Of its trials in progress against those of equal studies of its project."""
    retention: Retention = DEFAULT
    scheduler: str = NONE
    scheduler_options: Mapping[str, object] = field(default_factory=dict)
    constraints: tuple[Constraint, ...] = ()

    def scheduling(self) -> Scheduler:
        return scheduler(self.scheduler, self.scheduler_options)

    @property
    def edition(self) -> str:
        """Changes with what people write into it. Not with its state: pause and resume are commands."""
        texts = (self.goal, self.note, self.conclusion)
        checks = json.dumps(self.checks, sort_keys=True)
        turn = (self.parallel, self.priority, repr(self.weight))
        kept = json.dumps(self.retention.document(), sort_keys=True)
        return edition(*texts, self.budget, *turn, checks, kept, self.round_id or 0, self.space_version)


@dataclass(frozen=True)
class StudyDesign:
    """What a person decides before a study starts. `budget`: trials; `parallel`: trials at the same time;
    `template`: name of the project's job template, None for a study whose trials are asked for by a loop;
    `parents`: ids of the studies that this one follows; `checks`: thresholds of the checklist that it
    overrides, by name; `round`: id or name of a round of the project; `retention`: what is kept of
    checkpoints."""

    name: str
    goal: str
    objective: Objective
    space: SearchSpace
    budget: int
    sampler: str = "halton"
    sampler_options: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    parallel: int = 1
    max_attempts: int = ATTEMPTS
    note: str = ""
    template: str | None = None
    parents: tuple[int, ...] = ()
    checks: Mapping[str, float] = field(default_factory=dict)
    round: int | str | None = None
    retention: Retention = DEFAULT
    scheduler: str = NONE
    scheduler_options: Mapping[str, object] = field(default_factory=dict)
    constraints: tuple[Constraint, ...] = ()
    automatic: bool = field(default=False, compare=False)
    """The document left the choice of the sampler to us."""
    undirected: bool = field(default=False, compare=False)
    """The document left out the objective's direction."""

    @classmethod
    def parse(cls, document: object) -> "StudyDesign":
        """From a study document (JSON or TOML). Raises Invalid with every fault found."""
        faults: list[Fault] = []
        study = Document(document, field="", faults=faults)
        refuse(faults)
        study.only(
            *("project", "round", "name", "goal", "note", "objective", "sampler", "budget", "job", "space"),
            *("parents", "checks", "checkpoints", "scheduler", "constraints"),
        )
        study.text("project", limit=NAME_LONGEST, default="")
        name = study.text("name", limit=NAME_LONGEST)
        goal = study.text("goal", limit=TEXT_LONGEST, default="", lines=True)
        note = study.text("note", limit=TEXT_LONGEST, default="", lines=True)
        of_objective = study.part("objective")
        objective = study_parts.read_objective(of_objective)
        constraints = constraint.read(study, objective.metric)
        space = study_parts.read_space(study)
        of_scheduler = study_parts.read_scheduler(study.part("scheduler"))
        bohb = of_scheduler is not None and of_scheduler.name == BOHB
        drawn = study_parts.read_sampler(study.part("sampler"), space, default="tpe" if bohb else "halton")
        budget = study_parts.read_budget(study.part("budget"), drawn.size)
        template = study_parts.read_template(study)
        parents = study_parts.read_parents(study)
        checks = thresholds.read(study.part("checks"))
        of_round = study_parts.read_round(study)
        kept = retention.read(study.part("checkpoints"))
        if of_scheduler is not None and not faults:
            study_parts.check_trade_offs(drawn, objective, faults)
            study_parts.check_scheduler(of_scheduler, drawn, template, faults)
        refuse(faults)
        assert space is not None
        assert of_scheduler is not None
        return cls(
            name,
            goal,
            objective,
            space,
            sampler=drawn.name,
            sampler_options=drawn.options,
            seed=drawn.seed,
            budget=budget.trials,
            parallel=budget.parallel,
            max_attempts=budget.attempts,
            note=note,
            template=template,
            parents=parents,
            checks=checks,
            round=of_round,
            retention=kept,
            scheduler=of_scheduler.name,
            scheduler_options=of_scheduler.document(),
            constraints=constraints,
            automatic=drawn.automatic,
            undirected="direction" not in of_objective,
        )

    def document(self) -> dict[str, object]:
        """`parse(document())` is this design again."""
        return {
            "name": self.name,
            "goal": self.goal,
            "note": self.note,
            "objective": {
                "metric": self.objective.metric,
                "direction": self.objective.direction,
                "evaluation": self.objective.evaluation,
            },
            "sampler": {"name": self.sampler, "seed": self.seed, "options": dict(self.sampler_options)},
            **({"constraints": [each.document() for each in self.constraints]} if self.constraints else {}),
            **({"scheduler": self._scheduler_document()} if self.scheduler != NONE else {}),
            "budget": {"trials": self.budget, "parallel": self.parallel, "attempts": self.max_attempts},
            **({"job": {"template": self.template}} if self.template else {}),
            **({"parents": list(self.parents)} if self.parents else {}),
            **({"checks": dict(self.checks)} if self.checks else {}),
            **({"round": self.round} if self.round is not None else {}),
            **({"checkpoints": kept} if (kept := self.retention.document()) else {}),
            "space": self.space.document(),
        }

    def drawing(self) -> Sampler:
        return sampler(self.sampler, self.sampler_options)

    def scheduling(self) -> Scheduler:
        return scheduler(self.scheduler, self.scheduler_options)

    def _scheduler_document(self) -> dict[str, object]:
        return {"name": self.scheduler, "options": dict(self.scheduler_options)}

    def warnings(self) -> tuple[Fault, ...]:
        """What a person should know before starting; nothing here stops the study."""
        chosen = (automatic.explained(self.space),) if self.automatic else ()
        directed = study_parts.doubtful_direction(self.objective) if self.undirected else ()
        of_scheduler = self.scheduling().warnings(budget=self.budget)
        return (*directed, *chosen, *self.drawing().warnings(self.space), *of_scheduler)

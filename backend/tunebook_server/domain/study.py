"""A study: what it asks, and the design document it is made from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast

from tunebook_server.domain import retention
from tunebook_server.domain.document import Document, as_integer, refuse, show
from tunebook_server.domain.edition import edition
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.findings import thresholds
from tunebook_server.domain.objective import Direction, Evaluation, Objective
from tunebook_server.domain.retention import DEFAULT, Retention
from tunebook_server.domain.samplers import SAMPLERS, Sampler, automatic, sampler
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study_limits import (
    ATTEMPTS,
    ATTEMPTS_MOST,
    ID_HIGHEST,
    METRIC_LONGEST,
    NAME_LONGEST,
    PARALLEL_MOST,
    PARENTS_MOST,
    SEED_HIGHEST,
    TEXT_LONGEST,
    TRIALS_MOST,
)
from tunebook_server.domain.system_metrics import is_system

TEMPLATE_KEYS = (
    "command",
    "folder",
    "environment",
    "resources",
    "processes",
    "silence_seconds",
    "limit_seconds",
)
"""Of `job` in a study's file: the client takes them out and registers a job template with them."""
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

    @property
    def edition(self) -> str:
        """Changes with what people write into it. Not with its state: pause and resume are commands."""
        texts = (self.goal, self.note, self.conclusion)
        checks = json.dumps(self.checks, sort_keys=True)
        turn = (self.parallel, self.priority, repr(self.weight))
        kept = json.dumps(self.retention.document(), sort_keys=True)
        return edition(*texts, self.budget, *turn, checks, kept, self.round_id or 0)


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
    automatic: bool = field(default=False, compare=False)
    """The document left the choice of the sampler to us."""

    @classmethod
    def parse(cls, document: object) -> "StudyDesign":
        """From a study document (JSON or TOML). Raises Invalid with every fault found."""
        faults: list[Fault] = []
        study = Document(document, field="", faults=faults)
        refuse(faults)
        study.only(
            *("project", "round", "name", "goal", "note", "objective", "sampler", "budget", "job", "space"),
            *("parents", "checks", "checkpoints"),
        )
        study.text("project", limit=NAME_LONGEST, default="")
        name = study.text("name", limit=NAME_LONGEST)
        goal = study.text("goal", limit=TEXT_LONGEST, default="", lines=True)
        note = study.text("note", limit=TEXT_LONGEST, default="", lines=True)
        objective = _read_objective(study.part("objective"))
        space = _read_space(study)
        drawn = _read_sampler(study.part("sampler"), space)
        budget = _read_budget(study.part("budget"), drawn.size)
        template = _read_template(study)
        parents = _read_parents(study)
        checks = thresholds.read(study.part("checks"))
        of_round = _read_round(study)
        kept = retention.read(study.part("checkpoints"))
        refuse(faults)
        assert space is not None
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
            automatic=drawn.automatic,
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

    def warnings(self) -> tuple[Fault, ...]:
        """What a person should know before starting; nothing here stops the study."""
        chosen = (automatic.explained(self.space),) if self.automatic else ()
        return (*chosen, *self.drawing().warnings(self.space))


@dataclass(frozen=True, slots=True)
class _Drawn:
    name: str
    seed: int
    options: Mapping[str, object]
    size: int | None
    automatic: bool


@dataclass(frozen=True, slots=True)
class _Budget:
    trials: int
    parallel: int
    attempts: int


def _read_objective(part: Document) -> Objective:
    part.only("metric", "direction", "evaluation")
    metric = part.text("metric", limit=METRIC_LONGEST)
    if is_system(metric):
        part.fault("metric", "is sampled beside the job", "Name a metric that the job itself reports.")
    return Objective(
        metric,
        cast(Direction, part.word("direction", ("minimize", "maximize"), default="minimize")),
        cast(Evaluation, part.word("evaluation", ("best", "last"), default="best")),
    )


def _read_space(study: Document) -> SearchSpace | None:
    if "space" not in study:
        study.fault("space", "is missing", "Give a list of hyperparameters.")
        return None
    try:
        return SearchSpace.parse(study.get("space"))
    except Invalid as invalid:
        study.faults.extend(invalid.faults)
        return None


def _read_sampler(part: Document, space: SearchSpace | None) -> _Drawn:
    """`size` is None too where the sampler or its options are wrong."""
    part.only("name", "seed", "options")
    given = part.word("name", (*SAMPLERS, automatic.AUTO), default="halton")
    name = given
    if given == automatic.AUTO:
        name = automatic.chosen(space) if space is not None else automatic.EXPLORING
    seed = part.integer("seed", low=0, high=SEED_HIGHEST, default=0)
    options = part.part("options")
    size = None
    try:
        made = sampler(name, options.content)
        if space is not None:
            made.check(space)
            size = made.size(space)
    except Invalid as invalid:
        part.faults.extend(invalid.faults)
    content = cast(Mapping[str, object], options.content)
    return _Drawn(name, seed, content, size, given == automatic.AUTO)


def _read_budget(part: Document, size: int | None) -> _Budget:
    """Of a finite sampler the budget is by default everything."""
    part.only("trials", "parallel", "attempts")
    most = TRIALS_MOST if size is None else size
    trials = part.integer("trials", low=1, high=TRIALS_MOST, default=size)
    if trials > most:
        part.fault("trials", f"is {trials}, and the sampler has {show(size)} configurations", f"Use {size}.")
    return _Budget(
        trials,
        part.integer("parallel", low=1, high=PARALLEL_MOST, default=1),
        part.integer("attempts", low=1, high=ATTEMPTS_MOST, default=ATTEMPTS),
    )


def _read_template(study: Document) -> str | None:
    if "job" not in study:
        return None
    job = study.part("job")
    commands = [key for key in TEMPLATE_KEYS if key in job]
    for key in commands:
        remedy = "Leave it out, and name a registered job template (`tunebook study create` registers it)."
        job.fault(key, "belongs to a job template, not to a study", remedy)
    job.only("template", *commands)
    return job.text("template", limit=NAME_LONGEST)


def _read_parents(study: Document) -> tuple[int, ...]:
    if "parents" not in study or study.get("parents") in ([], ()):
        return ()
    parents: list[int] = []
    for value in study.items("parents", most=PARENTS_MOST):
        parent = as_integer(value)
        if parent is None or not 1 <= parent <= ID_HIGHEST:
            study.fault("parents", f"has {show(value)}", "Give the numbers of studies of the same project.")
        elif parent in parents:
            study.fault("parents", f"has {parent} twice", "Leave one of them out.")
        else:
            parents.append(parent)
    return tuple(parents)


def _read_round(study: Document) -> int | str | None:
    """A number is an id, a text a name."""
    value = study.get("round")
    if value is None or isinstance(value, str):
        return None if value is None else study.text("round", limit=NAME_LONGEST)
    found = as_integer(value)
    if found is None or not 1 <= found <= ID_HIGHEST:
        study.fault("round", f"is {show(value)}", "Give the number or the name of a round of the project.")
    return found

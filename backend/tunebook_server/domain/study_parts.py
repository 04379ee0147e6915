"""The parts of a study's document, each read on its own; every fault is collected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from tunebook_server.domain.document import Document, as_integer, show
from tunebook_server.domain.errors import Fault, Invalid
from tunebook_server.domain.metric_roles import is_better_higher
from tunebook_server.domain.objective import Direction, Evaluation, Objective
from tunebook_server.domain.samplers import SAMPLERS, automatic, sampler
from tunebook_server.domain.samplers.learner import Learner
from tunebook_server.domain.schedulers import NONE, SCHEDULERS, Scheduler, scheduler
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


@dataclass(frozen=True, slots=True)
class Drawn:
    name: str
    seed: int
    options: Mapping[str, object]
    size: int | None
    automatic: bool


@dataclass(frozen=True, slots=True)
class Budget:
    trials: int
    parallel: int
    attempts: int


def read_objective(part: Document) -> Objective:
    part.only("metric", "direction", "evaluation")
    metric = part.text("metric", limit=METRIC_LONGEST)
    if is_system(metric):
        part.fault("metric", "is sampled beside the job", "Name a metric that the job itself reports.")
    return Objective(
        metric,
        cast(Direction, part.word("direction", ("minimize", "maximize"), default="minimize")),
        cast(Evaluation, part.word("evaluation", ("best", "last"), default="best")),
    )


def doubtful_direction(objective: Objective) -> tuple[Fault, ...]:
    """Of an objective that is minimized because nobody said otherwise."""
    if not is_better_higher(objective.metric):
        return ()
    problem = f"{objective.metric} is minimized; direction is not given"
    remedy = 'Give direction = "maximize", or direction = "minimize" where less of it is better.'
    return (Fault("objective.direction", problem, remedy),)


def read_space(study: Document) -> SearchSpace | None:
    if "space" not in study:
        study.fault("space", "is missing", "Give a list of hyperparameters.")
        return None
    try:
        return SearchSpace.parse(study.get("space"))
    except Invalid as invalid:
        study.faults.extend(invalid.faults)
        return None


def read_scheduler(part: Document) -> Scheduler | None:
    """None where it or its options are wrong."""
    part.only("name", "options")
    name = part.word("name", tuple(SCHEDULERS), default=NONE)
    try:
        return scheduler(name, part.part("options").content)
    except Invalid as invalid:
        part.faults.extend(invalid.faults)
        return None


def check_scheduler(chosen: Scheduler, drawn: Drawn, template: str | None, faults: list[Fault]) -> None:
    learns = sampler(drawn.name, drawn.options).learns
    try:
        chosen.check(sampler_learns=learns, has_job=template is not None)
    except Invalid as invalid:
        faults.extend(invalid.faults)


def check_trade_offs(drawn: Drawn, objective: Objective, faults: list[Fault]) -> None:
    chosen = sampler(drawn.name, drawn.options)
    if isinstance(chosen, Learner) and objective.metric in [each.metric for each in chosen.trade_offs]:
        problem = f"{objective.metric} is the objective itself"
        faults.append(Fault("sampler.options.trade_offs", problem, "Name other metrics."))


def read_sampler(part: Document, space: SearchSpace | None, *, default: str) -> Drawn:
    """`size` is None too where the sampler or its options are wrong."""
    part.only("name", "seed", "options")
    given = part.word("name", (*SAMPLERS, automatic.AUTO), default=default)
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
    return Drawn(name, seed, content, size, given == automatic.AUTO)


def read_budget(part: Document, size: int | None) -> Budget:
    """Of a finite sampler the budget is by default everything."""
    part.only("trials", "parallel", "attempts")
    most = TRIALS_MOST if size is None else size
    trials = part.integer("trials", low=1, high=TRIALS_MOST, default=size)
    if trials > most:
        part.fault("trials", f"is {trials}, and the sampler has {show(size)} configurations", f"Use {size}.")
    return Budget(
        trials,
        part.integer("parallel", low=1, high=PARALLEL_MOST, default=1),
        part.integer("attempts", low=1, high=ATTEMPTS_MOST, default=ATTEMPTS),
    )


def read_template(study: Document) -> str | None:
    if "job" not in study:
        return None
    job = study.part("job")
    commands = [key for key in TEMPLATE_KEYS if key in job]
    for key in commands:
        remedy = "Leave it out, and name a registered job template (`tunebook study create` registers it)."
        job.fault(key, "belongs to a job template, not to a study", remedy)
    job.only("template", *commands)
    return job.text("template", limit=NAME_LONGEST)


def read_parents(study: Document) -> tuple[int, ...]:
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


def read_round(study: Document) -> int | str | None:
    """A number is an id, a text a name."""
    value = study.get("round")
    if value is None or isinstance(value, str):
        return None if value is None else study.text("round", limit=NAME_LONGEST)
    found = as_integer(value)
    if found is None or not 1 <= found <= ID_HIGHEST:
        study.fault("round", f"is {show(value)}", "Give the number or the name of a round of the project.")
    return found

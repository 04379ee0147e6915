"""How to run a trial again by hand: the very words that a worker gives to the training command."""

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from tunebook_server.domain.project import JobTemplate
from tunebook_server.domain.trial import Attempt, Configuration, Trial, Value


@dataclass(frozen=True, slots=True)
class Reproduction:
    """`command` is empty for a trial that a loop asked for; `parameters` is then what it trained with."""

    command: str
    parameters: str
    seed: int
    template: JobTemplate | None
    changes: str


def reproduce(trial: Trial, template: JobTemplate | None, attempts: list[Attempt]) -> Reproduction:
    lines = []
    if template is not None:
        argv = command(template, trial.parameters)
        words = [shlex.join(template.argv), *map(shlex.quote, argv[len(template.argv) :])]
        lines = [f"cd {shlex.quote(template.folder)}", " \\\n  ".join(words)]
    return Reproduction(
        command="\n".join(lines),
        parameters=json.dumps(dict(trial.parameters), indent=2, ensure_ascii=False),
        seed=trial.seed,
        template=template,
        changes=uncommitted(attempts[-1].environment if attempts else {}),
    )


def command(template: JobTemplate, parameters: Configuration) -> tuple[str, ...]:
    """The template's argv, then one `--name=value` a hyperparameter."""
    return (*template.argv, *(f"--{name}={_text(value)}" for name, value in parameters.items()))


def uncommitted(environment: Mapping[str, object]) -> str:
    """What is known of the code: its commit, and whether it had changes that nobody committed."""
    git = environment.get("git")
    if not isinstance(git, Mapping) or "commit" not in git:
        return "not recorded"
    commit = str(git["commit"])[:12]
    return f"{commit}, with uncommitted changes" if git.get("dirty") else f"{commit}, nothing uncommitted"


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return str(value)

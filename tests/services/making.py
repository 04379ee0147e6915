"""Studies to test with, made by the services themselves."""

import itertools
from collections.abc import Mapping

from sqlalchemy import Engine

from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.services import projects, studies, templates, workers

ACTOR = "user:tester"
_names = itertools.count()

SPACE = SearchSpace.parse(
    [
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"], "role": "scientific"},
        {"name": "learning_rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
        {"name": "momentum", "type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd"]}},
        {"name": "batch_size", "type": "fixed", "value": 64},
    ]
)


def make_study(engine: Engine, *, launched: bool = True, **design: object) -> Study:
    """A running study of a project of its own; `launched`: by workers, from a job template."""
    project = projects.create(engine, name=f"project {next(_names)}", actor=ACTOR)
    if launched:
        templates.register(
            engine, project_id=project.id, name="train", argv=["python", "train.py"], folder="/", actor=ACTOR
        )
    settings: Mapping[str, object] = {
        "name": "study",
        "goal": "What is best?",
        "objective": Objective("valid/error"),
        "space": SPACE,
        "budget": 20,
        "parallel": 4,
        "template": "train" if launched else None,
    }
    made = StudyDesign(**{**settings, **design})  # type: ignore[arg-type]
    return studies.create(engine, project_id=project.id, design=made, actor=ACTOR)


def make_worker(engine: Engine) -> int:
    return workers.register(engine, name=f"worker {next(_names)}", host="host", slots=1, actor=ACTOR).id

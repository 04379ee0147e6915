"""Deadlines of a job template: stored with its version, and whole seconds of a sensible number."""

import pytest
from sqlalchemy import Engine

from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.project import JobTemplate
from tunebook_server.services import projects, templates

COMMAND = {"name": "train", "argv": ["python", "train.py"], "folder": "/srv", "actor": "test"}


def register(engine: Engine, project_id: int, **deadlines: object) -> JobTemplate:
    return templates.register(engine, project_id=project_id, **COMMAND, **deadlines)  # type: ignore[arg-type]


def test_another_deadline_is_another_version(engine: Engine) -> None:
    project_id = projects.create(engine, name="digits", actor="test").id
    without = register(engine, project_id)
    assert (without.silence_seconds, without.limit_seconds) == (None, None)
    silent = register(engine, project_id, silence_seconds=600)
    limited = register(engine, project_id, silence_seconds=600, limit_seconds=86_400)
    again = register(engine, project_id, silence_seconds=600, limit_seconds=86_400)
    assert [each.version for each in (without, silent, limited, again)] == [1, 2, 3, 3]
    found = templates.get(engine, template_id=limited.id)
    assert (found.silence_seconds, found.limit_seconds) == (600, 86_400)


@pytest.mark.parametrize("field", ["silence_seconds", "limit_seconds"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "600", 10**9])
def test_a_wrong_deadline_is_named(engine: Engine, field: str, value: object) -> None:
    project_id = projects.create(engine, name="digits", actor="test").id
    with pytest.raises(Invalid) as refused:
        register(engine, project_id, **{field: value})
    assert refused.value.field == field

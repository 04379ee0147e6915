"""Projects."""

from collections.abc import Callable, Mapping

from tunebook_server.domain import paging
from tunebook_server.domain.document import show
from tunebook_server.domain.errors import Conflict, NotFound, Stale
from tunebook_server.domain.paging import Page
from tunebook_server.domain.project import Project, ProjectSummary
from tunebook_server.domain.texts import edited, long_text, most_at_a_time, name_text, weight
from tunebook_server.storage import audit, projects
from tunebook_server.storage.engine import Engine, transaction

EDITABLE: Mapping[str, Callable[..., object]] = {
    "name": name_text,
    "goal": long_text,
    "note": long_text,
    "weight": weight,
    "parallel": most_at_a_time,
}


def create(engine: Engine, *, name: str, goal: str = "", note: str = "", actor: str) -> Project:
    """Raises Conflict when the name is taken."""
    name_text(name, field="name")
    long_text(goal, field="goal")
    long_text(note, field="note")
    with transaction(engine) as connection:
        project = projects.add(connection, name=name, goal=goal, note=note)
        if project is None:
            raise _taken(name)
        audit.write(connection, actor=actor, action="project.create", target=f"project:{project.id}")
    return project


def get(engine: Engine, *, project_id: int) -> Project:
    with transaction(engine) as connection:
        project = projects.get(connection, project_id)
    if project is None:
        raise NotFound(f"there is no project {project_id}")
    return project


def find(engine: Engine, *, name: str) -> Project:
    name_text(name, field="name")
    with transaction(engine) as connection:
        project = projects.find(connection, name)
    if project is None:
        raise NotFound(f"there is no project {show(name)}")
    return project


def page(engine: Engine, *, limit: int = 100, cursor: str | None = None) -> Page[ProjectSummary]:
    """By name."""
    paging.page_size(limit)
    after = None if cursor is None else str(paging.decode(cursor, str)[0])
    with transaction(engine) as connection:
        found = projects.after(connection, after, limit + 1)
    return paging.cut(found, limit, lambda last: (last.project.name,))


def edit(
    engine: Engine, *, project_id: int, revision: int | None, changes: Mapping[str, object], actor: str
) -> Project:
    """Changes texts, weight or limit; raises Stale when the project is no longer at `revision`."""
    new = edited(changes, EDITABLE)
    with transaction(engine) as connection:
        project = projects.lock(connection, project_id)
        if project is None:
            raise NotFound(f"there is no project {project_id}")
        if revision is not None and revision != project.revision:
            raise Stale(
                f"the project is at revision {project.revision}, not {revision}", remedy="Read it again."
            )
        if not new:
            return project
        project = projects.change(connection, project_id, new)
        if project is None:
            raise _taken(new["name"])
        detail = {"fields": sorted(new)}
        audit.write(
            connection, actor=actor, action="project.edit", target=f"project:{project_id}", detail=detail
        )
    return project


def _taken(name: str) -> Conflict:
    return Conflict(f"there is a project {show(name)} already", field="name", remedy="Choose another name.")

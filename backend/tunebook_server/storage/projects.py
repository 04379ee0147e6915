"""Projects."""

from collections.abc import Mapping

from psycopg.errors import UniqueViolation
from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from tunebook_server.domain.project import Project, ProjectSummary
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection, straight

_projects = tables.projects
_GET = select(_projects).where(_projects.c.id == bindparam("project"))
_NAME = "SELECT name FROM projects WHERE id = %(project)s"


def add(connection: Connection, *, name: str, goal: str, note: str) -> Project | None:
    """None when the name is taken."""
    statement = (
        insert(_projects)
        .values(name=name, goal=goal, note=note)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(_projects)
    )
    return _project(connection.execute(statement).one_or_none())


def get(connection: Connection, project_id: int) -> Project | None:
    return _project(connection.execute(_GET, {"project": project_id}).one_or_none())


def name_of(connection: Connection, project_id: int) -> str:
    (found,) = straight(connection, _NAME, {"project": project_id})
    return str(found.name)


def lock(connection: Connection, project_id: int) -> Project | None:
    query = select(_projects).where(_projects.c.id == project_id).with_for_update(key_share=True)
    return _project(connection.execute(query).one_or_none())


def parallel(connection: Connection, project_id: int) -> int | None:
    """The most trials of it that workers may run at the same time; None for no limit.

    Where there is a limit the row is locked until the transaction ends, so that two claims count one another.
    """
    limited = (_projects.c.id == project_id) & _projects.c.parallel.is_not(None)
    query = select(_projects.c.parallel).where(limited).with_for_update(key_share=True)
    return connection.execute(query).scalar_one_or_none()


def find(connection: Connection, name: str) -> Project | None:
    return _project(connection.execute(select(_projects).where(_projects.c.name == name)).one_or_none())


def change(connection: Connection, project_id: int, changes: Mapping[str, object]) -> Project | None:
    """None when the name is taken, also by one whose transaction is still under way."""
    statement = (
        _projects.update()
        .where(_projects.c.id == project_id)
        .values(**changes, revision=_projects.c.revision + 1, changed_at=func.clock_timestamp())
        .returning(_projects)
    )
    try:
        with connection.begin_nested():
            return Project(**connection.execute(statement).one()._mapping)
    except IntegrityError as error:
        if isinstance(error.orig, UniqueViolation):
            return None
        raise


def after(connection: Connection, name: str | None, limit: int) -> list[ProjectSummary]:
    """Up to `limit` projects in order of their names, from behind `name` on."""
    studies = tables.studies.c
    count = (
        select(
            func.count().label("studies"), func.count().filter(studies.state == "running").label("running")
        )
        .where(studies.project_id == _projects.c.id)
        .lateral("of_project")
    )
    query = select(_projects, count.c.studies, count.c.running).join_from(
        _projects, count, onclause=count.c.studies >= 0
    )
    if name is not None:
        query = query.where(_projects.c.name > name)
    rows = connection.execute(query.order_by(_projects.c.name).limit(limit))
    return [ProjectSummary(Project(*row[:-2]), row.studies, row.running) for row in rows]


def _project(row: Row[tuple[object, ...]] | None) -> Project | None:
    return None if row is None else Project(**row._mapping)

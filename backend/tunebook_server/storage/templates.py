"""Job templates: versions of a name in a project; what is registered never changes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Row, bindparam, select, tuple_

from tunebook_server.domain.project import JobTemplate
from tunebook_server.domain.resources import Resources
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection, straight, text_of

_templates = tables.job_templates
_GET = select(_templates).where(_templates.c.id == bindparam("template"))
_OF_STUDY = text_of(
    select(_templates)
    .join(tables.studies, tables.studies.c.job_template_id == _templates.c.id)
    .where(tables.studies.c.id == bindparam("study", type_=BigInteger))
)


def add(
    connection: Connection,
    *,
    project_id: int,
    name: str,
    version: int,
    argv: Sequence[str],
    folder: str,
    environment: Sequence[str],
    resources: Resources,
    processes: int,
    silence_seconds: int | None,
    limit_seconds: int | None,
    created_by: str,
) -> JobTemplate:
    statement = (
        _templates.insert()
        .values(
            project_id=project_id,
            name=name,
            version=version,
            argv=list(argv),
            folder=folder,
            environment=list(environment),
            gpus=resources.gpus,
            cpus=resources.cpus,
            labels=dict(resources.labels),
            queue=resources.queue,
            processes=processes,
            silence_seconds=silence_seconds,
            limit_seconds=limit_seconds,
            created_by=created_by,
        )
        .returning(_templates)
    )
    return _template(connection.execute(statement).one())


def get(connection: Connection, template_id: int) -> JobTemplate | None:
    row = connection.execute(_GET, {"template": template_id}).one_or_none()
    return None if row is None else _template(row)


def of_study(connection: Connection, study_id: int) -> JobTemplate | None:
    """The one that its trials are launched with."""
    found = straight(connection, _OF_STUDY, {"study": study_id})
    return next(map(_template, found), None)


def newest(connection: Connection, project_id: int, name: str) -> JobTemplate | None:
    query = (
        select(_templates)
        .where(_templates.c.project_id == project_id, _templates.c.name == name)
        .order_by(_templates.c.version.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _template(row)


def after(
    connection: Connection, project_id: int, position: tuple[str, int] | None, limit: int
) -> list[JobTemplate]:
    """By name and version, from behind `position` on."""
    query = select(_templates).where(_templates.c.project_id == project_id)
    if position is not None:
        query = query.where(tuple_(_templates.c.name, _templates.c.version) > position)
    rows = connection.execute(query.order_by(_templates.c.name, _templates.c.version).limit(limit))
    return [_template(row) for row in rows]


def _template(row: Row[Any]) -> JobTemplate:
    return JobTemplate(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        version=row.version,
        argv=tuple(row.argv),
        folder=row.folder,
        environment=tuple(row.environment),
        created_by=row.created_by,
        created_at=row.created_at,
        resources=Resources(row.gpus, row.cpus, row.labels),
        processes=row.processes,
        silence_seconds=row.silence_seconds,
        limit_seconds=row.limit_seconds,
    )

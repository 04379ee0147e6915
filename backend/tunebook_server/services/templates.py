"""Job templates: what may be launched, registered by people with that right."""

from collections.abc import Mapping, Sequence

from tunebook_server.domain import paging
from tunebook_server.domain.document import Document, refuse
from tunebook_server.domain.errors import Fault, Invalid, NotFound
from tunebook_server.domain.paging import Page
from tunebook_server.domain.project import JobTemplate
from tunebook_server.domain.resources import PROCESSES_MOST, Resources
from tunebook_server.domain.texts import name_text, whole_number
from tunebook_server.storage import audit, projects, templates
from tunebook_server.storage.engine import Engine, transaction

WORDS_MOST = 1000
WORD_LONGEST = 10_000
FOLDER_LONGEST = 4096
DEADLINE_MOST = 366 * 86_400


def register(
    engine: Engine,
    *,
    project_id: int,
    name: str,
    argv: Sequence[str],
    folder: str,
    environment: Sequence[str] = (),
    resources: Mapping[str, object] | None = None,
    processes: int = 1,
    silence_seconds: int | None = None,
    limit_seconds: int | None = None,
    actor: str,
) -> JobTemplate:
    """A new version of the name, or the newest one when it says the same already.

    `resources`: a document of `domain.resources.Resources`.
    """
    name_text(name, field="name")
    name_text(folder, field="folder", limit=FOLDER_LONGEST)
    _words(argv, field="argv")
    _words(environment, field="environment", least=0)
    whole_number(processes, field="processes", low=1, high=PROCESSES_MOST)
    deadlines = {"silence_seconds": silence_seconds, "limit_seconds": limit_seconds}
    for field, seconds in deadlines.items():
        if seconds is not None:
            whole_number(seconds, field=field, low=1, high=DEADLINE_MOST)
    needs = _resources(resources or {})
    with transaction(engine) as connection:
        # The project's row orders registrations: two at once would make the same version.
        if projects.lock(connection, project_id) is None:
            raise NotFound(f"there is no project {project_id}")
        newest = templates.newest(connection, project_id, name)
        wanted = (tuple(argv), folder, tuple(environment), needs, processes, silence_seconds, limit_seconds)
        if newest is not None and _content(newest) == wanted:
            return newest
        template = templates.add(
            connection,
            project_id=project_id,
            name=name,
            version=1 if newest is None else newest.version + 1,
            argv=argv,
            folder=folder,
            environment=environment,
            resources=needs,
            processes=processes,
            silence_seconds=silence_seconds,
            limit_seconds=limit_seconds,
            created_by=actor,
        )
        detail = {"name": name, "version": template.version}
        target = f"template:{template.id}"
        audit.write(connection, actor=actor, action="template.register", target=target, detail=detail)
    return template


def get(engine: Engine, *, template_id: int) -> JobTemplate:
    with transaction(engine) as connection:
        template = templates.get(connection, template_id)
    if template is None:
        raise NotFound(f"there is no job template {template_id}")
    return template


def page(
    engine: Engine, *, project_id: int, limit: int = 100, cursor: str | None = None
) -> Page[JobTemplate]:
    """By name and version."""
    paging.page_size(limit)
    position = None
    if cursor is not None:
        name, version = paging.decode(cursor, str, int)
        position = (str(name), int(version or 0))
    with transaction(engine) as connection:
        if projects.get(connection, project_id) is None:
            raise NotFound(f"there is no project {project_id}")
        found = templates.after(connection, project_id, position, limit + 1)
    return paging.cut(found, limit, lambda last: (last.name, last.version))


def _content(template: JobTemplate) -> tuple[object, ...]:
    return (
        template.argv,
        template.folder,
        template.environment,
        template.resources,
        template.processes,
        template.silence_seconds,
        template.limit_seconds,
    )


def _resources(document: Mapping[str, object]) -> Resources:
    faults: list[Fault] = []
    found = Resources.read(Document(document, field="resources", faults=faults))
    refuse(faults)
    return found


def _words(words: Sequence[str], *, field: str, least: int = 1) -> None:
    if isinstance(words, str) or not least <= len(words) <= WORDS_MOST:
        raise Invalid(f"{field} is not a list of {least} to {WORDS_MOST} words", field=field)
    for place, word in enumerate(words):
        name_text(word, field=f"{field}.{place}", limit=WORD_LONGEST)

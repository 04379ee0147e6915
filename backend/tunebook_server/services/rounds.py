"""Rounds: made, edited, concluded; and which round a study names."""

from collections.abc import Mapping

from tunebook_server.domain import paging
from tunebook_server.domain.document import show
from tunebook_server.domain.edition import refuse_stale
from tunebook_server.domain.errors import Conflict, Invalid, NotFound
from tunebook_server.domain.paging import Page
from tunebook_server.domain.round import Round, RoundSummary
from tunebook_server.domain.texts import edited, long_text, name_text
from tunebook_server.storage import audit, projects, rounds
from tunebook_server.storage.engine import Connection, Engine, transaction

EDITABLE = {"name": name_text, "goal": long_text, "conclusion": long_text}


def create(engine: Engine, *, project_id: int, name: str, goal: str = "", actor: str) -> Round:
    """Raises Conflict when the project has a round of this name."""
    name_text(name, field="name")
    long_text(goal, field="goal")
    with transaction(engine) as connection:
        # The project's row orders names: a rename and a new round could both find one free.
        if projects.lock(connection, project_id) is None:
            raise NotFound(f"there is no project {project_id}")
        made = rounds.add(connection, project_id=project_id, name=name, goal=goal, created_by=actor)
        if made is None:
            raise _taken(name)
        audit.write(connection, actor=actor, action="round.create", target=f"round:{made.id}")
    return made


def get(engine: Engine, *, round_id: int) -> Round:
    with transaction(engine) as connection:
        found = rounds.get(connection, round_id)
    if found is None:
        raise NotFound(f"there is no round {round_id}")
    return found


def page(
    engine: Engine,
    *,
    project_id: int | None = None,
    name: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[RoundSummary]:
    """The newest first."""
    paging.page_size(limit)
    if name is not None:
        name_text(name, field="name")
    position = None if cursor is None else int(paging.decode(cursor, int)[0] or 0)
    with transaction(engine) as connection:
        if project_id is not None and projects.get(connection, project_id) is None:
            raise NotFound(f"there is no project {project_id}")
        found = rounds.before(
            connection, project_id=project_id, name=name, round_id=position, limit=limit + 1
        )
    return paging.cut(found, limit, lambda last: (last.round.id,))


def edit(
    engine: Engine, *, round_id: int, edition: str | None = None, changes: Mapping[str, object], actor: str
) -> Round:
    """Changes name, goal or conclusion; raises Stale when people have written into it since `edition`."""
    new = edited(changes, EDITABLE)
    with transaction(engine) as connection:
        found = rounds.lock(connection, round_id)
        if found is None:
            raise NotFound(f"there is no round {round_id}")
        refuse_stale(edition, found.edition, what="round")
        if not new:
            return found
        if "name" in new and new["name"] != found.name:
            projects.lock(connection, found.project_id)
            if rounds.find(connection, found.project_id, new["name"]):
                raise _taken(new["name"])
        found = rounds.change(connection, round_id, new)
        detail = {"fields": sorted(new)}
        audit.write(connection, actor=actor, action="round.edit", target=f"round:{round_id}", detail=detail)
    return found


def named(connection: Connection, project_id: int, reference: int | str | None) -> int | None:
    """The id of the round that a study names by id or name; Invalid when its project has no such round."""
    if reference is None:
        return None
    if isinstance(reference, int):
        found = rounds.get(connection, reference)
    else:
        found = rounds.find(connection, project_id, reference)
    if found is None or found.project_id != project_id:
        raise Invalid(
            f"there is no round {show(reference)} in this project",
            field="round",
            remedy="Name a round of the same project, make it first, or leave it out.",
        )
    return found.id


def _taken(name: str) -> Conflict:
    return Conflict(
        f"the project has a round {show(name)} already", field="name", remedy="Choose another name."
    )

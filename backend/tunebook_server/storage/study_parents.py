"""Which studies a study follows, and what it changed against each of them when it was made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from tunebook_server.domain.difference import Difference
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection

_parents = tables.study_parents
_studies = tables.studies


@dataclass(frozen=True, slots=True)
class Kin:
    """A study that another follows, or that follows it: `changes` are of the later one of the two."""

    id: int
    name: str
    changes: Sequence[Difference]


def add(connection: Connection, study_id: int, changes: Mapping[int, Sequence[Difference]]) -> None:
    """`changes` by parent, in the order of the parents."""
    rows = [
        {
            "study_id": study_id,
            "place": place,
            "parent_id": parent_id,
            "changes": [row.document() for row in rows],
        }
        for place, (parent_id, rows) in enumerate(changes.items())
    ]
    if rows:
        connection.execute(_parents.insert(), rows)


def of_studies(connection: Connection, study_ids: Sequence[int]) -> dict[int, list[Kin]]:
    """By study those that it follows, in their order."""
    query = (
        select(_parents.c.study_id.label("whose"), _studies.c.id, _studies.c.name, _parents.c.changes)
        .join_from(_parents, _studies, _studies.c.id == _parents.c.parent_id)
        .where(_parents.c.study_id.in_(study_ids))
        .order_by(_parents.c.study_id, _parents.c.place)
    )
    found: dict[int, list[Kin]] = {study_id: [] for study_id in study_ids}
    for row in connection.execute(query):
        found[row.whose].append(Kin(row.id, row.name, _rows(row.changes)))
    return found


def children(connection: Connection, study_id: int, limit: int) -> list[Kin]:
    """The studies that follow it, the newest first."""
    query = (
        select(_studies.c.id, _studies.c.name, _parents.c.changes)
        .join_from(_parents, _studies, _studies.c.id == _parents.c.study_id)
        .where(_parents.c.parent_id == study_id)
        .order_by(_studies.c.id.desc())
        .limit(limit)
    )
    return [Kin(row.id, row.name, _rows(row.changes)) for row in connection.execute(query)]


def _rows(changes: Sequence[Mapping[str, str]]) -> list[Difference]:
    return [
        Difference(row["kind"], row["field"], row["before"], row["after"])  # type: ignore[arg-type]
        for row in changes
    ]

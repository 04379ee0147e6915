"""Rounds."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert

from tunebook_server.domain.round import Round, RoundSummary
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection

_rounds = tables.rounds


def add(connection: Connection, *, project_id: int, name: str, goal: str, created_by: str) -> Round | None:
    """None when the project has a round of this name."""
    statement = (
        insert(_rounds)
        .values(project_id=project_id, name=name, goal=goal, created_by=created_by)
        .on_conflict_do_nothing(index_elements=["project_id", "name"])
        .returning(_rounds)
    )
    return _round(connection.execute(statement).one_or_none())


def get(connection: Connection, round_id: int) -> Round | None:
    return _round(connection.execute(select(_rounds).where(_rounds.c.id == round_id)).one_or_none())


def lock(connection: Connection, round_id: int) -> Round | None:
    query = select(_rounds).where(_rounds.c.id == round_id).with_for_update(key_share=True)
    return _round(connection.execute(query).one_or_none())


def find(connection: Connection, project_id: int, name: str) -> Round | None:
    query = select(_rounds).where(_rounds.c.project_id == project_id, _rounds.c.name == name)
    return _round(connection.execute(query).one_or_none())


def many(connection: Connection, round_ids: Sequence[int]) -> dict[int, Round]:
    """By id; what is not there is left out."""
    rows = connection.execute(select(_rounds).where(_rounds.c.id.in_(round_ids)))
    return {row.id: Round(**row._mapping) for row in rows}


def change(connection: Connection, round_id: int, changes: Mapping[str, object]) -> Round:
    statement = (
        _rounds.update()
        .where(_rounds.c.id == round_id)
        .values(**changes, revision=_rounds.c.revision + 1, changed_at=func.clock_timestamp())
        .returning(_rounds)
    )
    return Round(**connection.execute(statement).one()._mapping)


def before(
    connection: Connection, *, project_id: int | None, name: str | None, round_id: int | None, limit: int
) -> list[RoundSummary]:
    """Up to `limit` rounds, the newest first, from before `round_id` on."""
    studies = tables.studies.c
    count = (
        select(
            func.count().label("studies"), func.count().filter(studies.state == "running").label("running")
        )
        .where(studies.round_id == _rounds.c.id)
        .lateral("of_round")
    )
    query = select(_rounds, count.c.studies, count.c.running).join_from(
        _rounds, count, onclause=count.c.studies >= 0
    )
    if project_id is not None:
        query = query.where(_rounds.c.project_id == project_id)
    if name is not None:
        query = query.where(_rounds.c.name == name)
    if round_id is not None:
        query = query.where(_rounds.c.id < round_id)
    rows = connection.execute(query.order_by(_rounds.c.id.desc()).limit(limit))
    return [RoundSummary(Round(*row[:-2]), row.studies, row.running) for row in rows]


def _round(row: Row[tuple[object, ...]] | None) -> Round | None:
    return None if row is None else Round(**row._mapping)

"""Studies: their rows, counters and revisions. Lock order everywhere: trials, then their study."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Integer,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.sql.expression import ScalarSelect

from tunebook_server.domain import constraint, retention
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.study import Study, StudyDesign
from tunebook_server.storage import counts, tables
from tunebook_server.storage.engine import Connection, straight, text_of

_studies = tables.studies
_spaces = tables.search_spaces
_parents = tables.study_parents
_PLAIN = (
    *("id", "project_id", "round_id", "name", "goal", "note", "conclusion", "state", "space_version"),
    *(
        "sampler",
        "sampler_options",
        "scheduler",
        "scheduler_options",
        "checks",
        "seed",
        "budget",
        "parallel",
        "max_attempts",
        "job_template_id",
        "best_trial_id",
        "revision",
        "next_number",
        "next_sample_index",
    ),
    *("created_by", "created_at", "changed_at", "finished_at", "priority", "weight"),
)


def add(
    connection: Connection,
    *,
    project_id: int,
    design: StudyDesign,
    job_template_id: int | None,
    round_id: int | None,
    created_by: str,
) -> int:
    statement = (
        _studies.insert()
        .values(
            project_id=project_id,
            round_id=round_id,
            name=design.name,
            goal=design.goal,
            note=design.note,
            metric=design.objective.metric,
            direction=design.objective.direction,
            evaluation=design.objective.evaluation,
            sampler=design.sampler,
            sampler_options=dict(design.sampler_options),
            scheduler=design.scheduler,
            scheduler_options=dict(design.scheduler_options),
            constraints=[each.document() for each in design.constraints],
            checks=dict(design.checks),
            checkpoints=design.retention.document(),
            seed=design.seed,
            budget=design.budget,
            parallel=design.parallel,
            max_attempts=design.max_attempts,
            job_template_id=job_template_id,
            created_by=created_by,
        )
        .returning(_studies.c.id)
    )
    study_id: int = connection.execute(statement).scalar_one()
    connection.execute(_spaces.insert().values(study_id=study_id, version=1, space=design.space.document()))
    return study_id


def add_space(connection: Connection, study_id: int, version: int, space: SearchSpace) -> None:
    """The next version of its search space. The study's row is locked."""
    connection.execute(_spaces.insert().values(study_id=study_id, version=version, space=space.document()))
    change(connection, study_id, {"space_version": version})


def get(connection: Connection, study_id: int) -> Study | None:
    found = _read(connection, _GET, {"study": study_id})
    return found[0] if found else None


def lock(connection: Connection, study_id: int) -> Study | None:
    """The study, its row locked until the transaction ends; take no waiting lock on a trial after this."""
    row = straight(connection, _GET_LOCKED, {"study": study_id}).fetchone()
    return None if row is None else _study(row, counts.of_study(connection, study_id))


def is_finished(connection: Connection, study_id: int) -> bool:
    """The study's row is locked from here on."""
    query = select(_studies.c.state).where(_studies.c.id == study_id).with_for_update(key_share=True)
    return bool(connection.execute(query).scalar_one() == "finished")


def max_attempts(connection: Connection, study_id: int) -> int:
    query = select(_studies.c.max_attempts).where(_studies.c.id == study_id)
    attempts: int = connection.execute(query).scalar_one()
    return attempts


def allocate(connection: Connection, study_id: int, *, numbers: int, samples: int) -> None:
    """Takes `numbers` trial numbers and `samples` places of the sampler, and with that `bump`s the study."""
    taken = {"study": study_id, "numbers": numbers, "samples": samples}
    straight(connection, _ALLOCATE, taken)


def bump(connection: Connection, study_id: int) -> None:
    """The study has visibly changed. The last statement of a transaction: it locks the study's row."""
    straight(connection, _BUMP, {"study": study_id})


def bump_best(connection: Connection, study_id: int) -> None:
    """`bump`, and find the best trial again: one step into the index on (study, objective, number).

    For transactions that changed the objective or the state of a trial.
    """
    # Locked before the look-up: a statement that waits for the lock would look at an old snapshot.
    direction = connection.execute(_LOCK, {"study": study_id}).scalar_one()
    connection.execute(_BUMP_BEST[direction], {"study": study_id})


def note_claim(connection: Connection, study_id: int) -> None:
    """A worker took one of its trials: others of the same weight go first now."""
    change(connection, study_id, {"last_claim_at": func.clock_timestamp()})


def change(connection: Connection, study_id: int, changes: Mapping[str, object]) -> None:
    connection.execute(_studies.update().where(_studies.c.id == study_id).values(**changes))


def finish(connection: Connection, study_id: int) -> None:
    change(connection, study_id, {"state": "finished", "finished_at": func.clock_timestamp()})


def before(
    connection: Connection,
    *,
    project_id: int | None,
    name: str | None,
    state: str | None,
    round_id: int | None = None,
    without_round: bool = False,
    study_id: int | None,
    limit: int,
) -> list[Study]:
    """Up to `limit` studies, the newest first, from before `study_id` on."""
    query = _query()
    if round_id is not None:
        query = query.where(_studies.c.round_id == round_id)
    if without_round:
        query = query.where(_studies.c.round_id.is_(None))
    if project_id is not None:
        query = query.where(_studies.c.project_id == project_id)
    if name is not None:
        query = query.where(_studies.c.name == name)
    if state is not None:
        query = query.where(_studies.c.state == state)
    if study_id is not None:
        query = query.where(_studies.c.id < study_id)
    return _read(connection, query.order_by(_studies.c.id.desc()).limit(limit))


def count_of_round(connection: Connection, round_id: int) -> int:
    query = select(func.count()).where(_studies.c.round_id == round_id)
    count: int = connection.execute(query).scalar_one()
    return count


def of_rounds(connection: Connection, round_ids: Sequence[int], each: int) -> list[Study]:
    """The newest `each` studies of every round, the newest first."""
    place = func.row_number().over(partition_by=_studies.c.round_id, order_by=_studies.c.id.desc())
    ranked = select(_studies.c.id, place.label("place")).where(_studies.c.round_id.in_(round_ids)).subquery()
    newest = select(ranked.c.id).where(ranked.c.place <= each)
    return _read(connection, _query().where(_studies.c.id.in_(newest)).order_by(_studies.c.id.desc()))


def changed_since(connection: Connection, since: datetime, limit: int) -> list[tuple[int, int]]:
    query = (
        select(_studies.c.id, _studies.c.revision)
        .where(_studies.c.changed_at > since)
        .order_by(_studies.c.changed_at)
        .limit(limit)
    )
    return [(study_id, revision) for study_id, revision in connection.execute(query)]


def many(connection: Connection, study_ids: Sequence[int]) -> dict[int, Study]:
    """By id; what is not there is left out."""
    return {study.id: study for study in _read(connection, _query().where(_studies.c.id.in_(study_ids)))}


def named(connection: Connection, project_id: int, start: str) -> list[tuple[str, int]]:
    """Name and seed of the project's studies whose names begin so."""
    query = select(_studies.c.name, _studies.c.seed).where(
        _studies.c.project_id == project_id, func.starts_with(_studies.c.name, start)
    )
    return [(name, seed) for name, seed in connection.execute(query)]


def to_fill(connection: Connection, *, after: int, ahead: int, limit: int) -> list[int]:
    """Running studies behind `after` that want more queued trials, or may be over."""
    trials = tables.study_counts.c
    open_trials = (
        select(func.coalesce(func.sum(trials.trials), 0).label("open"))
        .where(trials.study_id == _studies.c.id, trials.state.in_(("queued", "claimed", "running")))
        .lateral("of_study")
    )
    wants_more = _studies.c.job_template_id.is_not(None) & (open_trials.c.open < _studies.c.parallel + ahead)
    query = (
        select(_studies.c.id)
        .join_from(_studies, open_trials, true())
        .where(_studies.c.state == "running", _studies.c.id > after)
        .where((wants_more & (_studies.c.next_number < _studies.c.budget)) | (open_trials.c.open == 0))
        .order_by(_studies.c.id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def _best(study_id: BindParameter[int], direction: str) -> ScalarSelect[int]:
    """A failed trial says nothing about its values, an infeasible one that they do not work."""
    trials = tables.trials.c
    order = trials.objective.asc() if direction == "minimize" else trials.objective.desc()
    return (
        select(trials.id)
        .where(trials.study_id == study_id, trials.objective.is_not(None))
        .where(trials.state.not_in(("failed", "infeasible")))
        .order_by(order, trials.number)
        .limit(1)
        .scalar_subquery()
    )


def _query() -> Select[Any]:
    parents = (
        select(_parents.c.parent_id)
        .where(_parents.c.study_id == _studies.c.id)
        .order_by(_parents.c.place)
        .correlate(_studies)
    )
    same = (_spaces.c.study_id == _studies.c.id) & (_spaces.c.version == _studies.c.space_version)
    space = cast(_spaces.c.space, Text).label("space")
    return select(_studies, space, func.array(parents.scalar_subquery()).label("parents")).join_from(
        _studies, _spaces, same
    )


# Built once: reports, asks and pages run these, and building a statement costs more than running it.
_STUDY = bindparam("study", type_=BigInteger)
_GET = _query().where(_studies.c.id == _STUDY)
_GET_LOCKED = text_of(_GET.with_for_update(key_share=True, of=_studies))
_LOCK = select(_studies.c.direction).where(_studies.c.id == _STUDY).with_for_update(key_share=True)
_RAISE = (
    _studies.update()
    .where(_studies.c.id == _STUDY)
    .values(revision=_studies.c.revision + literal_column("1"), changed_at=func.clock_timestamp())
)
_BUMP = text_of(_RAISE)
_ALLOCATE = text_of(
    _RAISE.values(
        next_number=_studies.c.next_number + bindparam("numbers", type_=Integer),
        next_sample_index=_studies.c.next_sample_index + bindparam("samples", type_=Integer),
    )
)
_BUMP_BEST = {
    direction: _RAISE.values(best_trial_id=_best(_STUDY, direction)) for direction in ("minimize", "maximize")
}


def _read(
    connection: Connection, query: Select[Any], values: Mapping[str, object] | None = None
) -> list[Study]:
    rows = connection.execute(query, values).all()
    by_state = counts.of_studies(connection, [row.id for row in rows])
    return [_study(row, by_state[row.id]) for row in rows]


def _study(row: Row[Any], by_state: Mapping[str, int]) -> Study:
    return Study(
        **{name: getattr(row, name) for name in _PLAIN},
        objective=Objective(row.metric, row.direction, row.evaluation),
        space=_space(row.space),
        counts=by_state,
        parents=tuple(row.parents),
        retention=retention.parse(row.checkpoints),
        constraints=constraint.parse(row.constraints),
    )


@lru_cache(maxsize=256)
def _space(document: str) -> SearchSpace:
    """A space is stored once and never changed: parsing it once a process keeps an ask cheap."""
    return SearchSpace.parse(json.loads(document))

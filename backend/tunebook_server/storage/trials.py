"""Trials: rows, claims, leases and hints. Only the database's clock sets or compares a lease."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Text,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
    update,
)

from tunebook_server.domain.lifecycle import Ending
from tunebook_server.domain.trial import Configuration, End, Trial, TrialState
from tunebook_server.storage import tables
from tunebook_server.storage.arrays import Texts
from tunebook_server.storage.engine import Connection, straight, text_of

trials = tables.trials
COLUMNS = tuple(trials.c[field.name] for field in fields(Trial))
_NAMES = tuple(column.name for column in COLUMNS)
HELD = ("claimed", "running")
# Written out, not bound: a plan made once for every value could not use the indexes on these states alone.
_QUEUED = trials.c.state == literal_column("'queued'")
_HELD = trials.c.state.in_([literal_column("'claimed'"), literal_column("'running'")])


@dataclass(frozen=True, slots=True)
class Made:
    """What a new trial starts with; `sample_index` None where a person chose its values."""

    number: int
    sample_index: int | None
    drawn_by: str
    parameters: Configuration
    seed: int
    decide_at: int | None


def add(connection: Connection, *, study_id: int, space_version: int, rows: Sequence[Made]) -> list[Trial]:
    """Queued trials. The study's row is locked."""
    same = {"study_id": study_id, "space_version": space_version, "state": "queued"}
    return [read(row) for row in connection.execute(_ADD, [{**same, **asdict(row)} for row in rows])]


def get(connection: Connection, trial_id: int) -> Trial | None:
    row = connection.execute(_GET, {"trial": trial_id}).one_or_none()
    return None if row is None else read(row)


def many(connection: Connection, trial_ids: Sequence[int]) -> dict[int, Trial]:
    rows = connection.execute(select(*COLUMNS).where(trials.c.id.in_(trial_ids)))
    return {row.id: read(row) for row in rows}


def lock(connection: Connection, trial_id: int) -> Trial | None:
    """The trial, its row locked until the transaction ends: nobody else changes it meanwhile."""
    row = connection.execute(_GET_LOCKED, {"trial": trial_id}).one_or_none()
    return None if row is None else read(row)


def claim(
    connection: Connection,
    holders: Mapping[int, str | None],
    *,
    worker_id: int | None,
    started: bool,
    lease_seconds: float,
) -> list[Trial]:
    """Takes queued trials, each for the client that holds it: a new epoch and a lease in one statement. In
    the same order, without those that are not queued.

    `started`: the one who takes it trains it, and needs no launch.
    """
    ids, clients = literal(list(holders), ARRAY(BigInteger)), literal(list(holders.values()), ARRAY(Text))
    taken = func.unnest(ids, clients).table_valued("id", "client_id").render_derived()
    statement = (
        update(trials)
        .where(trials.c.id == taken.c.id, _QUEUED)
        .values(
            state="running" if started else "claimed",
            # Above every epoch of a generation that a restore has ended.
            epoch=func.greatest(trials.c.epoch + 1, select(tables.server.c.first_epoch).scalar_subquery()),
            attempts=trials.c.attempts + 1,
            lease_expires_at=lease(lease_seconds),
            worker_id=worker_id,
            client_id=taken.c.client_id,
            reason="",
            poisoned=False,
            claimed_at=func.clock_timestamp(),
            started_at=func.clock_timestamp() if started else None,
            changed_at=func.clock_timestamp(),
        )
        .returning(*COLUMNS)
    )
    found = {row.id: read(row) for row in connection.execute(statement)}
    return [found[trial_id] for trial_id in holders if trial_id in found]


def start(connection: Connection, trial_id: int) -> Trial:
    return change(connection, trial_id, {"state": "running", "started_at": func.clock_timestamp()})


def beat(connection: Connection, trial_id: int, epoch: int, *, lease_seconds: float) -> Trial | None:
    """Renews the lease of this epoch; None when it does not hold the trial."""
    statement = (
        update(trials)
        .where(trials.c.id == trial_id, trials.c.epoch == epoch, _HELD)
        .values(lease_expires_at=lease(lease_seconds))
        .returning(*COLUMNS)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else read(row)


def renew_loops(connection: Connection, *, lease_seconds: float) -> int:
    """Gives every loop a whole lease; how many trials that are."""
    statement = update(trials).where(_HELD, trials.c.worker_id.is_(None))
    return connection.execute(statement.values(lease_expires_at=lease(lease_seconds))).rowcount


def beat_waiting(
    connection: Connection, worker_id: int, waiting: Sequence[tuple[int, int]], *, lease_seconds: float
) -> list[tuple[int, int]]:
    """Renews the leases of these (trial, epoch) at once; those that the worker holds, in order of trials."""
    if not waiting:
        return []
    mine = (
        select(trials.c.id)
        .where(tuple_(trials.c.id, trials.c.epoch).in_(waiting), trials.c.worker_id == worker_id, _HELD)
        .order_by(trials.c.id)  # two that renew many must not wait for each other
        .with_for_update()
    )
    held = list(connection.scalars(mine))
    statement = update(trials).where(trials.c.id.in_(held)).values(lease_expires_at=lease(lease_seconds))
    connection.execute(statement)
    return sorted(pair for pair in set(waiting) if pair[0] in set(held))


def end(connection: Connection, trial: Trial, ending: Ending) -> Trial:
    """Ends the trial, or puts it back into the queue, as `ending` says. The trial's row is locked."""
    queued = ending.state is TrialState.QUEUED
    changes: dict[str, object] = {
        "state": ending.state.value,
        "reason": ending.reason,
        "poisoned": ending.poisoned,
        "lease_expires_at": None,
        "hinted_at": None,
    }
    if queued:
        changes |= {"queued_at": func.clock_timestamp(), "worker_id": None, "client_id": None}
    if trial.decision:  # carried out, or overtaken: the next attempt is judged anew
        changes |= {"cancel_requested_at": None} if queued else {}
        changes |= {"decision": "", "decision_reason": ""}
    changes |= {} if queued else {"finished_at": func.clock_timestamp()}
    if not ending.charged:
        changes["attempts"] = trials.c.attempts - 1
    return change(connection, trial.id, changes)


def request_cancel(connection: Connection, trial_id: int) -> Trial:
    """By a person, whatever a scheduler has decided, and it decides nothing more."""
    asked = {"cancel_requested_at": func.clock_timestamp(), "decision": "", "decision_reason": ""}
    return change(connection, trial_id, {**asked, "decide_at": None})


def decide(connection: Connection, trial_id: int, *, decision: str, reason: str, turn: int) -> None:
    """Its scheduler ends this attempt; the job is told. The trial's row is locked."""
    told = {"cancel_requested_at": func.clock_timestamp(), "decision": decision, "decision_reason": reason}
    change(connection, trial_id, {**told, "turn": turn})


def wanted_end(connection: Connection, trial_id: int) -> End:
    """Whether its attempt is to end."""
    query = select(trials.c.cancel_requested_at, trials.c.decision).where(trials.c.id == trial_id)
    asked, decision = connection.execute(query).one()
    return End.NOT if asked is None else End(decision or End.STOP)


def judged(connection: Connection, trial_id: int, decide_at: int | None) -> None:
    """Up to there; the next rung is `decide_at`. Nothing that anybody sees."""
    connection.execute(update(trials).where(trials.c.id == trial_id).values(decide_at=decide_at))


def copy(
    connection: Connection,
    trial: Trial,
    *,
    parameters: Configuration,
    space_version: int,
    checkpoint_id: int,
    decide_at: int | None,
) -> Trial:
    """The attempt that begins goes on from another trial's checkpoint, with these values."""
    changes = {
        "parameters": dict(parameters),
        "space_version": space_version,
        "copied_checkpoint_id": checkpoint_id,
        "copied_epoch": trial.epoch - 1,
        "decide_at": decide_at,
    }
    return change(connection, trial.id, changes)


def requeue(connection: Connection, trial_id: int) -> Trial:
    """An ended trial waits for an attempt again."""
    again = {"state": "queued", "reason": "", "poisoned": False, "finished_at": None, "hinted_at": None}
    fresh = {
        "queued_at": func.clock_timestamp(),
        "worker_id": None,
        "client_id": None,
        "cancel_requested_at": None,
    }
    return change(connection, trial_id, again | fresh)


def change(connection: Connection, trial_id: int, changes: Mapping[str, object]) -> Trial:
    statement = (
        update(trials)
        .where(trials.c.id == trial_id)
        .values(**changes, changed_at=func.clock_timestamp())
        .returning(*COLUMNS)
    )
    return read(connection.execute(statement).one())


def held_by_client(connection: Connection, study_id: int, client_ids: Sequence[str]) -> list[Trial]:
    held = straight(connection, _HELD_BY_CLIENT, {"study": study_id, "clients": Texts(client_ids)})
    return [of(row) for row in held]


def held_under(connection: Connection, worker_id: int, client_id: str) -> Trial | None:
    """The trial that the worker took under this key, if it holds it still."""
    query = select(*COLUMNS).where(trials.c.worker_id == worker_id, trials.c.client_id == client_id, _HELD)
    row = connection.execute(query).one_or_none()
    return None if row is None else read(row)


def held_by_workers(connection: Connection, worker_ids: Sequence[int]) -> dict[int, list[Trial]]:
    query = select(*COLUMNS).where(trials.c.worker_id.in_(worker_ids), _HELD)
    found: dict[int, list[Trial]] = {worker_id: [] for worker_id in worker_ids}
    for row in connection.execute(query.order_by(trials.c.id)):
        found[row.worker_id].append(read(row))
    return found


def take_queued(connection: Connection, study_id: int, limit: int) -> list[int]:
    """Queued trials in the order of their turns, locked; those that others are taking are left out."""
    found = straight(connection, _take_queued(_QUEUED), {"study": study_id, "limit": limit})
    return [row.id for row in found]


@lru_cache(maxsize=1)
def _take_queued(queued: ColumnElement[bool]) -> str:
    return text_of(
        select(trials.c.id)
        .where(trials.c.study_id == _STUDY, queued)
        .order_by(trials.c.turn, trials.c.number)
        .limit(bindparam("limit", type_=BigInteger))
        .with_for_update(key_share=True, skip_locked=True)
    )


def expired(connection: Connection, limit: int) -> list[Trial]:
    """Trials whose lease has run out, locked, in order of their studies; another sweep's are left out."""
    query = (
        select(*COLUMNS)
        .where(trials.c.lease_expires_at < func.now())
        .order_by(trials.c.lease_expires_at)
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
    )
    found = [read(row) for row in connection.execute(query)]
    return sorted(found, key=lambda trial: (trial.study_id, trial.id))


def stamp_hints(
    connection: Connection, *, study_id: int | None, again_seconds: float, limit: int
) -> list[int]:
    """Stamps and returns the trials that need a hint.

    They are the first queued ones of each running study, as many as it has free places, when they had none
    for `again_seconds`.
    """
    studies, held = tables.studies.c, tables.study_counts.c
    taken = (
        select(func.coalesce(func.sum(held.trials), 0).label("trials"))
        .where(held.study_id == studies.id, held.state.in_(HELD))
        .lateral("taken")
    )
    waiting = (
        select(trials.c.id, trials.c.hinted_at)
        .where(trials.c.study_id == studies.id, _QUEUED)
        .order_by(trials.c.turn, trials.c.number)
        .limit(func.least(func.greatest(studies.parallel - taken.c.trials, 0), limit))
        .lateral("waiting")
    )
    old = waiting.c.hinted_at < func.now() - seconds(again_seconds)
    due = (
        select(waiting.c.id)
        .select_from(tables.studies)
        .join(taken, true())
        .join(waiting, true())
        .where(studies.state == "running", studies.job_template_id.is_not(None))
        .where(waiting.c.hinted_at.is_(None) | old)
        .limit(limit)
    )
    return _stamp(connection, due if study_id is None else due.where(studies.id == study_id))


def _stamp(connection: Connection, due: Select[tuple[int]]) -> list[int]:
    # SKIP LOCKED: whoever holds a queued trial is taking it, and needs no hint.
    locked = (
        select(trials.c.id)
        .where(trials.c.id.in_(due), _QUEUED)
        .with_for_update(key_share=True, skip_locked=True)
        .cte("locked")
    )
    statement = (
        update(trials)
        .where(trials.c.id == locked.c.id)
        .values(hinted_at=func.clock_timestamp())
        .returning(trials.c.id)
    )
    return sorted(connection.execute(statement).scalars())


def queues(connection: Connection, trial_ids: Sequence[int]) -> dict[int, str]:
    """By trial the queue for hints; what a loop asks for has none."""
    studies, needs = tables.studies, tables.job_templates
    query = (
        select(trials.c.id, needs.c.queue)
        .join_from(trials, studies, studies.c.id == trials.c.study_id)
        .join(needs, needs.c.id == studies.c.job_template_id)
        .where(trials.c.id.in_(trial_ids))
    )
    return {row.id: row.queue for row in connection.execute(query)}


def stamp(connection: Connection, trial_ids: Sequence[int]) -> None:
    """Hints for these trials leave when the transaction has committed."""
    if trial_ids:
        statement = update(trials).where(trials.c.id.in_(trial_ids)).values(hinted_at=func.clock_timestamp())
        connection.execute(statement)


def forget_hint(connection: Connection, trial_id: int) -> None:
    """The hint reached nobody who could use it: send another as soon as there is a place."""
    statement = update(trials).where(trials.c.id == trial_id, _QUEUED).values(hinted_at=None)
    connection.execute(statement)


def serialise_clients(connection: Connection, study_id: int, client_ids: Sequence[str]) -> None:
    """Two asks of one client wait for each other until the transaction ends."""
    keys = [f"ask/{study_id}/{client_id}" for client_id in sorted(client_ids)]  # in one order: no deadlock
    straight(connection, _SERIALISE, {"keys": Texts(keys)})


def lease(lease_seconds: float) -> ColumnElement[Any]:
    """The end of a lease that begins now, after every wait for a lock."""
    return func.clock_timestamp() + seconds(lease_seconds)


def seconds(amount: float) -> ColumnElement[Any]:
    return func.make_interval(0, 0, 0, 0, 0, 0, amount)


def read(row: Row[Any]) -> Trial:
    mapping = row._mapping
    return of([mapping[column] for column in COLUMNS])


def of(values: Sequence[Any]) -> Trial:
    """Of a row of `COLUMNS`."""
    named = dict(zip(_NAMES, values, strict=True))
    return Trial(**{**named, "state": TrialState(named["state"])})


# Built once: every claim or ask runs most of these, and building a statement costs more than running it.
_STUDY, _TRIAL = bindparam("study", type_=BigInteger), bindparam("trial", type_=BigInteger)
_GET = select(*COLUMNS).where(trials.c.id == _TRIAL)
# NO KEY: rows that refer to the trial (tokens, batches) may still be added by those who hold the study.
_GET_LOCKED = _GET.with_for_update(key_share=True)
_ADD = trials.insert().returning(*COLUMNS, sort_by_parameter_order=True)
_CLIENTS = func.unnest(bindparam("clients", type_=ARRAY(Text)))
_asked = _CLIENTS.table_valued("client_id").render_derived("asked")
# Client by client, as OFFSET keeps it: with no statistics yet, all that loops hold would be gone through.
_held_by_one = (
    select(*COLUMNS)
    .where(trials.c.study_id == _STUDY, trials.c.client_id == _asked.c.client_id, _HELD)
    .offset(literal_column("0"))
    .lateral("held")
)
_HELD_BY_CLIENT = text_of(
    select(*_held_by_one.c).select_from(_asked).join(_held_by_one, true()).order_by(_held_by_one.c.number)
)
_SERIALISE = "SELECT pg_advisory_xact_lock(hashtextextended(unnest(%(keys)s), 0))"

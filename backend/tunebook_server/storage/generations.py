"""The generation: which life of the database this is, and what keeps another life's workers out."""

from dataclasses import dataclass
from typing import cast
from uuid import UUID

from sqlalchemy import BigInteger, delete, func, literal_column, select, text, update

from tunebook_server.domain.trial import Trial
from tunebook_server.storage import tables, trials
from tunebook_server.storage.engine import Connection

# Minutes since 2020 by the database's clock: another number for each restore, of the same backup too.
_MINUTES = func.floor(
    func.extract("epoch", func.clock_timestamp() - literal_column("timestamptz '2020-01-01 UTC'")) / 60
).cast(BigInteger)
TRIAL_IDS_A_MINUTE = 1000
REVISIONS_A_MINUTE = 1_000_000
"""More than are ever given out."""


@dataclass(frozen=True, slots=True)
class Life:
    generation: UUID
    place: str
    """Where the database was when this generation began; empty: nobody has looked yet."""


def current(connection: Connection) -> Life:
    row = connection.execute(select(tables.server.c.generation, tables.server.c.place)).one()
    return Life(*row)


def lock(connection: Connection) -> Life:
    """As `current`, the row locked: of two that notice a restore, one acts."""
    query = select(tables.server.c.generation, tables.server.c.place).with_for_update()
    return Life(*connection.execute(query).one())


def place(connection: Connection) -> str:
    """The cluster, the database and the table `server` itself, as the server numbers them.

    pg_restore and a copy of a database always make another table or database; pg_upgrade makes another
    cluster. A copy of the files and a recovery to a point in time change none of the three.
    """
    readable = "SELECT has_function_privilege('pg_control_system()', 'execute')"
    cluster: object = ""
    if connection.execute(text(readable)).scalar_one():
        cluster = connection.execute(text("SELECT system_identifier FROM pg_control_system()")).scalar_one()
    rest = "SELECT oid, 'server'::regclass::oid FROM pg_database WHERE datname = current_database()"
    database, table = connection.execute(text(rest)).one()
    return f"{cluster}/{database}/{table}"


def settle(connection: Connection, place: str) -> None:
    """This is where the database is, and its generation stays."""
    connection.execute(update(tables.server).values(place=place))


def renew(connection: Connection, place: str) -> UUID:
    """A new generation, with epochs, trial ids and revisions above all that were ever given out.

    A number given out twice would let the files of two attempts meet in one folder, for spools and
    checkpoints are named by trial and epoch, and would let an ETag of before fit.
    """
    highest = select(func.coalesce(func.max(tables.trials.c.epoch), 0)).scalar_subquery()
    statement = (
        update(tables.server)
        .values(generation=func.gen_random_uuid(), place=place, first_epoch=highest + _MINUTES)
        .returning(tables.server.c.generation)
    )
    generation = cast(UUID, connection.execute(statement).scalar_one())
    next_id = func.coalesce(func.max(tables.trials.c.id), 0) + _MINUTES * TRIAL_IDS_A_MINUTE
    sequence = func.pg_get_serial_sequence("trials", "id")
    connection.execute(select(func.setval(sequence, next_id)).select_from(tables.trials))
    for table in (tables.studies, tables.rounds):
        later = table.c.revision + _MINUTES * REVISIONS_A_MINUTE
        connection.execute(update(table).values(revision=later))
    return generation


def end_logins(connection: Connection) -> None:
    for table in (tables.sessions, tables.login_codes):
        connection.execute(delete(table))


def revoke_tokens(connection: Connection) -> int:
    """People's and workers' tokens; those of trials are dead with their generation."""
    statement = (
        update(tables.tokens)
        .where(tables.tokens.c.kind != "trl", tables.tokens.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    return connection.execute(statement).rowcount


def held(connection: Connection) -> list[Trial]:
    """Every trial that somebody holds, locked, in order of their studies."""
    query = (
        select(*trials.COLUMNS)
        .where(tables.trials.c.state.in_([literal_column("'claimed'"), literal_column("'running'")]))
        .order_by(tables.trials.c.study_id, tables.trials.c.id)
        .with_for_update(key_share=True)
    )
    return [trials.read(row) for row in connection.execute(query)]

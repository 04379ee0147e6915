"""Functions that break a promise, for tests that must notice it."""

import psycopg
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import IntegrityError

from tunebook_server.domain.study import Study
from tunebook_server.storage import studies
from tunebook_server.storage.studies import Counters
from tunebook_server.storage.tables import trials

COLLISIONS = (IntegrityError, psycopg.IntegrityError)
"""What a constraint of the database says to SQLAlchemy, and what to psycopg."""


def newest_number_plus_one(connection: Connection, study_id: int, *, numbers: int, samples: int) -> Counters:
    """What a counter row is for; the pause stands for a busy server between the two statements."""
    number = select(func.coalesce(func.max(trials.c.number) + 1, 0)).where(trials.c.study_id == study_id)
    first = connection.execute(number).scalar_one()
    connection.execute(text("SELECT pg_sleep(0.05)"))
    studies.change(
        connection, study_id, {"next_number": first + numbers, "next_sample_index": first + samples}
    )
    return Counters(first, first)


def unlocked(connection: Connection, study_id: int) -> Study | None:
    return studies.get(connection, study_id)

"""What breaks a promise, for tests that must notice it."""

import psycopg
from sqlalchemy.exc import IntegrityError

from tunebook_server.storage import studies

COLLISIONS = (IntegrityError, psycopg.IntegrityError)
"""What a constraint of the database says to SQLAlchemy, and what to psycopg."""
NEWEST_NUMBER_PLUS_ONE = studies._GET_LOCKED.removesuffix(" FOR NO KEY UPDATE OF studies").replace(
    "studies.next_number",
    "(SELECT coalesce(max(number) + 1, 0) FROM trials WHERE study_id = studies.id)"
    " + length(pg_sleep(0.05)::text) AS next_number",
)
"""In place of the statement that locks a study and reads its counters: what they are for. The pause stands
for a busy server behind it."""
assert NEWEST_NUMBER_PLUS_ONE.count("max(number)") == 1
assert "FOR NO KEY UPDATE" not in NEWEST_NUMBER_PLUS_ONE

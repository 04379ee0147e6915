"""What went wrong in the database, in words of the domain."""

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tunebook_server.domain.errors import Invalid, TunebookError, Unavailable

_FULL = (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory)
_BUSY = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.TooManyConnections,
)


def translate(error: Exception) -> TunebookError | None:
    """The domain's error behind a failure of the database; None for a defect of ours."""
    if isinstance(error, PoolTimeout):
        return Unavailable("All database connections are in use.", code="busy")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, _FULL):
        return Unavailable("The database has no space left.", code="storage_full", retry_after_seconds=10.0)
    if isinstance(cause, _BUSY):
        return Unavailable("The database is busy.", code="busy")
    if isinstance(cause, psycopg.OperationalError):
        return Unavailable("The database cannot be reached.", retry_after_seconds=2.0)
    if isinstance(cause, psycopg.DataError):
        # The last net: shapes are checked at the edge, and what slips through is still not our crash.
        return Invalid("A value cannot be stored.", remedy="Look for characters or numbers out of range.")
    return None

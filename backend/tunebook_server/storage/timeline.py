"""Attempts of a study with their workers, newest first, for its timeline."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_READ = text("""
    SELECT attempts.trial_id, trials.number, attempts.epoch, coalesce(workers.name, '') AS worker,
           coalesce(nullif(attempts.host, ''), workers.host, '') AS host,
           attempts.claimed_at AT TIME ZONE 'UTC' AS claimed_at,
           attempts.started_at AT TIME ZONE 'UTC' AS started_at,
           attempts.ended_at AT TIME ZONE 'UTC' AS ended_at, attempts.outcome
    FROM attempts JOIN trials ON trials.id = attempts.trial_id
                  LEFT JOIN workers ON workers.id = attempts.worker_id
    WHERE trials.study_id = :study
    ORDER BY attempts.claimed_at DESC, attempts.trial_id DESC, attempts.epoch DESC LIMIT :limit
""")
_DATE = text("""
    SELECT clock_timestamp() AT TIME ZONE 'UTC', count(*), count(*) FILTER (WHERE attempts.ended_at IS NULL),
           count(attempts.started_at), max(attempts.ended_at), max(attempts.claimed_at)
    FROM attempts JOIN trials ON trials.id = attempts.trial_id WHERE trials.study_id = :study
""")


@dataclass(frozen=True, slots=True)
class TimedAttempt:
    """Times in UTC, without a zone; `ended_at` and `outcome` are None while it lives."""

    trial_id: int
    number: int
    epoch: int
    worker: str
    host: str
    claimed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Dated:
    """What dates a timeline: `word` is the same as long as no attempt begins, starts or ends."""

    now: datetime
    attempts: int
    live: int
    word: str


def newest(connection: Connection, *, study_id: int, limit: int) -> list[TimedAttempt]:
    """The newest `limit` attempts, the oldest of them first."""
    found = connection.execute(_READ, {"study": study_id, "limit": limit})
    return [TimedAttempt(**row._mapping) for row in found][::-1]


def dated(connection: Connection, *, study_id: int) -> Dated:
    """`now` is the database's clock."""
    now, attempts, live, *rest = connection.execute(_DATE, {"study": study_id}).one()
    return Dated(now, attempts, live, ".".join(str(each) for each in (attempts, live, *rest)))

"""Attempts with their workers, newest first, for timelines: of a study, or of all workers for some hours."""

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
# Two reads of one index, each of at most :limit rows; what began before the window may reach into it.
_RECENT = text("""
    SELECT attempts.trial_id, trials.number, attempts.epoch, coalesce(workers.name, '') AS worker,
           coalesce(nullif(attempts.host, ''), workers.host, '') AS host,
           attempts.claimed_at AT TIME ZONE 'UTC' AS claimed_at,
           attempts.started_at AT TIME ZONE 'UTC' AS started_at,
           attempts.ended_at AT TIME ZONE 'UTC' AS ended_at, attempts.outcome, studies.name AS study
    FROM ((SELECT * FROM attempts WHERE ended_at IS NULL LIMIT :limit)
          UNION ALL
          (SELECT * FROM attempts WHERE ended_at > clock_timestamp() - make_interval(hours => :hours)
            ORDER BY ended_at DESC LIMIT :limit)) AS attempts
    JOIN trials ON trials.id = attempts.trial_id
    JOIN studies ON studies.id = trials.study_id
    LEFT JOIN workers ON workers.id = attempts.worker_id
    ORDER BY coalesce(attempts.ended_at, 'infinity') DESC, attempts.claimed_at DESC, attempts.trial_id
    LIMIT :limit
""")
_DATE_RECENT = text("""
    SELECT clock_timestamp() AT TIME ZONE 'UTC', live + ended, live, started, newest, last_claim
    FROM (SELECT count(*) AS live, count(started_at) AS started, max(claimed_at) AS last_claim
            FROM (SELECT started_at, claimed_at FROM attempts WHERE ended_at IS NULL LIMIT :most) AS alive),
         (SELECT count(*) AS ended, max(ended_at) AS newest
            FROM (SELECT ended_at FROM attempts
                   WHERE ended_at > clock_timestamp() - make_interval(hours => :hours)
                   ORDER BY ended_at DESC LIMIT :most) AS over)
""")
_PLACES = text("""
    SELECT name, slots FROM workers
    WHERE coalesce(stopped_at, 'infinity') > clock_timestamp() - make_interval(hours => :hours)
      AND last_seen_at > clock_timestamp() - make_interval(hours => :hours)
    ORDER BY name LIMIT :limit
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
    study: str = ""


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


def recent(connection: Connection, *, hours: int, limit: int) -> list[TimedAttempt]:
    """Attempts of all studies that live or have ended within `hours`: at most `limit`, the oldest
    first."""
    found = connection.execute(_RECENT, {"hours": hours, "limit": limit})
    return [TimedAttempt(**row._mapping) for row in found][::-1]


def dated_recent(connection: Connection, *, hours: int, most: int) -> Dated:
    """As `dated`; attempts are counted up to `most`."""
    now, attempts, live, *rest = connection.execute(_DATE_RECENT, {"hours": hours, "most": most}).one()
    return Dated(now, attempts, live, ".".join(str(each) for each in (attempts, live, *rest)))


def places(connection: Connection, *, hours: int, limit: int) -> dict[str, int]:
    """The slots of the workers that were there within `hours`, by name."""
    found = connection.execute(_PLACES, {"hours": hours, "limit": limit})
    return {row.name: row.slots for row in found}

"""Timelines: the attempts of a study, or those of all workers in the last hours."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tunebook_server.figures import timeline
from tunebook_server.figures.figure import Figure
from tunebook_server.services.figure_kinds import Across, Asked, AskedAcross, Kind, Table
from tunebook_server.services.figure_options import Options
from tunebook_server.storage import timeline as storage
from tunebook_server.storage.engine import transaction
from tunebook_server.storage.timeline import Dated, TimedAttempt

ATTEMPTS_SHOWN = 500
ATTEMPTS_COUNTED = 20_000
PLACES_SHOWN = 100
LIVE_SECONDS = 10  # how often a bar that grows is drawn anew
HOURS, HOURS_MOST = 6, 168


def _of_study(asked: Asked) -> Figure:
    with transaction(asked.engine) as connection:
        dated = storage.dated(connection, study_id=asked.study.id)
        found = storage.newest(connection, study_id=asked.study.id, limit=ATTEMPTS_SHOWN)
    plot = timeline.compute(_spans(found), attempts=dated.attempts, now=dated.now)
    return timeline.draw(plot)


def _table_of_study(asked: Asked, limit: int) -> Table:
    with transaction(asked.engine) as connection:
        return _table(storage.newest(connection, study_id=asked.study.id, limit=limit))


def _version_of_study(asked: Asked) -> str:
    with transaction(asked.engine) as connection:
        dated = storage.dated(connection, study_id=asked.study.id)
    return f"{asked.study.id}.{_word(dated)}"


def _of_workers(asked: AskedAcross) -> Figure:
    hours = _hours(asked.options)
    with transaction(asked.engine) as connection:
        dated = storage.dated_recent(connection, hours=hours, most=ATTEMPTS_COUNTED)
        found = storage.recent(connection, hours=hours, limit=ATTEMPTS_SHOWN)
        places = storage.places(connection, hours=hours, limit=PLACES_SHOWN)
    since = dated.now - timedelta(hours=hours)
    plot = timeline.compute(_spans(found), attempts=dated.attempts, now=dated.now, since=since, places=places)
    return timeline.draw(plot)


def _table_of_workers(asked: AskedAcross, limit: int) -> Table:
    with transaction(asked.engine) as connection:
        found = storage.recent(connection, hours=_hours(asked.options), limit=limit)
    return {"study": [each.study for each in found], **_table(found)}


def _version_of_workers(asked: AskedAcross) -> str:
    hours = _hours(asked.options)
    with transaction(asked.engine) as connection:
        dated = storage.dated_recent(connection, hours=hours, most=ATTEMPTS_COUNTED)
        places = storage.places(connection, hours=hours, limit=PLACES_SHOWN)
    return f"{hours}.{sorted(places.items())}.{dated.word}.{_turn(dated.now)}"  # its window moves on


def _hours(options: Options) -> int:
    return options.integer("hours", HOURS, low=1, high=HOURS_MOST)


def _spans(found: Sequence[TimedAttempt]) -> list[timeline.Span]:
    return [
        timeline.Span(
            each.trial_id,
            each.number,
            each.epoch,
            each.worker or each.host or "elsewhere",
            each.claimed_at,
            each.started_at,
            each.ended_at,
            each.outcome,
            each.study,
        )
        for each in found
    ]


def _table(found: Sequence[TimedAttempt]) -> Table:
    return {
        "trial_id": [each.trial_id for each in found],
        "number": [each.number for each in found],
        "attempt": [each.epoch for each in found],
        "worker": [each.worker for each in found],
        "host": [each.host for each in found],
        "claimed_at": [_time(each.claimed_at) for each in found],
        "started_at": [_time(each.started_at) for each in found],
        "ended_at": [_time(each.ended_at) for each in found],
        "outcome": [each.outcome for each in found],
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else f"{at.isoformat()}Z"


def _word(dated: Dated) -> str:
    return f"{dated.word}.{_turn(dated.now)}" if dated.live else dated.word


def _turn(now: datetime) -> str:
    return (now - timedelta(seconds=now.second % LIVE_SECONDS, microseconds=now.microsecond)).isoformat()


KINDS: Mapping[str, Kind] = {
    "timeline": Kind(
        _of_study,
        _table_of_study,
        _version_of_study,
        across=Across(_of_workers, _table_of_workers, _version_of_workers),
    )
}

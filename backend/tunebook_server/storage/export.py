"""Trials as an export needs them, in portions by number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from tunebook_server.storage.engine import Connection
from tunebook_server.storage.trial_fields import EVERY, trials
from tunebook_server.storage.trial_pages import Wanted, conditions


@dataclass(frozen=True, slots=True)
class ExportedTrial:
    id: int
    number: int
    state: str
    epoch: int
    seed: int
    parameters: Mapping[str, float | int | str | bool]
    objective: float | None
    best_step: int | None
    last_step: int | None
    attempts: int
    reason: str
    note: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def portion(
    connection: Connection, *, study_id: int, wanted: Wanted, after_number: int, limit: int
) -> list[ExportedTrial]:
    columns = (trials.c[name] for name in ExportedTrial.__slots__)
    query = select(*columns).select_from(EVERY).where(*conditions(study_id, wanted))
    found = query.where(trials.c.number > after_number).order_by(trials.c.number).limit(limit)
    return [ExportedTrial(*row) for row in connection.execute(found)]

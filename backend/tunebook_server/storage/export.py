"""Trials as an export needs them, in portions by number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tunebook_server.storage.engine import Connection


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


PORTION = """
SELECT id, number, state, epoch, seed, parameters, objective, best_step, last_step, attempts, reason, note,
       created_at, started_at, finished_at
  FROM trials WHERE study_id = %s AND number > %s ORDER BY number LIMIT %s
"""


def portion(connection: Connection, *, study_id: int, after_number: int, limit: int) -> list[ExportedTrial]:
    found = connection.exec_driver_sql(PORTION, (study_id, after_number, limit))
    return [ExportedTrial(*row) for row in found]

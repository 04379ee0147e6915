"""Where findings are kept: the last ones of every study."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tunebook_server.storage.engine import Connection


@dataclass(frozen=True, slots=True)
class Kept:
    """The documents of a study's findings, computed from its `revision`."""

    revision: int
    items: Sequence[dict[str, Any]]
    computed_at: datetime


def get(connection: Connection, study_id: int) -> Kept | None:
    found = connection.exec_driver_sql(
        "SELECT revision, items, computed_at FROM findings WHERE study_id = %s", (study_id,)
    ).one_or_none()
    return None if found is None else Kept(*found)


def many(connection: Connection, study_ids: Sequence[int]) -> dict[int, Kept]:
    """By study; those without are left out."""
    rows = connection.exec_driver_sql(
        "SELECT study_id, revision, items, computed_at FROM findings WHERE study_id = ANY(%s)",
        (list(study_ids),),
    )
    return {study_id: Kept(*kept) for study_id, *kept in rows}


VERDICTS = """
SELECT f.study_id, item ->> 'verdict', count(*) FROM findings f, json_array_elements(f.items) AS item
 WHERE f.study_id = ANY(%s) GROUP BY 1, 2
"""


def verdicts(connection: Connection, study_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """By study how many findings have each verdict; studies without are left out."""
    found: dict[int, dict[str, int]] = {}
    for study_id, verdict, count in connection.exec_driver_sql(VERDICTS, (list(study_ids),)):
        found.setdefault(study_id, {})[verdict] = count
    return found


def put(
    connection: Connection,
    study_id: int,
    *,
    revision: int,
    items: Sequence[dict[str, Any]],
    cpu_seconds: float,
) -> None:
    connection.exec_driver_sql(
        """
        INSERT INTO findings (study_id, revision, items, cpu_seconds) VALUES (%s, %s, %s, %s)
        ON CONFLICT (study_id) DO UPDATE SET revision = excluded.revision, items = excluded.items,
               computed_at = now(), cpu_seconds = excluded.cpu_seconds
        """,
        (study_id, revision, json.dumps(items, allow_nan=False), cpu_seconds),
    )


DUE = """
SELECT s.id FROM studies s LEFT JOIN findings f ON f.study_id = s.id
 WHERE s.next_number > 0 AND (f.study_id IS NULL OR (s.revision > f.revision
       AND f.computed_at + make_interval(secs => greatest(%(pause)s, %(share)s * f.cpu_seconds)) < now()))
 ORDER BY f.computed_at NULLS FIRST, s.id DESC
 LIMIT %(limit)s
"""


def due(connection: Connection, *, pause_seconds: float, pause_per_cpu: float, limit: int) -> list[int]:
    """Studies that have changed since their findings were computed, the longest ago first: each at most every
    `pause_seconds`, and the rarer the more its findings cost.
    """
    values = {"pause": pause_seconds, "share": pause_per_cpu, "limit": limit}
    return list(connection.exec_driver_sql(DUE, values).scalars())

"""The checklist of a study: computed in the background as data arrives, kept with its revision."""

import json
import logging
import time
from collections.abc import Sequence
from typing import Any

from tunebook_server.domain.findings import CHECKLIST, Finding, Results, Verdict
from tunebook_server.domain.findings.document import document
from tunebook_server.domain.study import Study
from tunebook_server.services import results, studies
from tunebook_server.storage import findings
from tunebook_server.storage import studies as study_rows
from tunebook_server.storage.engine import Engine, transaction
from tunebook_server.storage.findings import Kept

PAUSE_SECONDS = 5.0
FAILED = "This item could not be computed; the log of the control worker says why."
PAUSE_PER_CPU = 20.0  # findings take at most a twentieth of a core

_log = logging.getLogger(__name__)


def get(engine: Engine, *, study_id: int) -> Kept | None:
    """The last findings; None before the first were computed. Raises NotFound."""
    studies.get(engine, study_id=study_id)
    with transaction(engine) as connection:
        return findings.get(connection, study_id)


def many(engine: Engine, *, study_ids: Sequence[int]) -> dict[int, Kept]:
    """By study the last findings; those without are left out."""
    with transaction(engine) as connection:
        return findings.many(connection, study_ids)


def verdicts(engine: Engine, *, study_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """By study how many findings have each verdict; studies without are left out."""
    with transaction(engine) as connection:
        return findings.verdicts(connection, study_ids)


def due(engine: Engine, *, limit: int) -> list[int]:
    """Studies whose findings are to be refreshed now."""
    with transaction(engine) as connection:
        return findings.due(connection, pause_seconds=PAUSE_SECONDS, pause_per_cpu=PAUSE_PER_CPU, limit=limit)


def refresh(engine: Engine, *, study_id: int) -> None:
    """Computes the findings of a study as it is now; where they say something new, its revision rises."""
    study = studies.get(engine, study_id=study_id)
    started = time.thread_time()
    items = _plain([document(finding, study.checks) for finding in _checked(results.read(engine, study))])
    _keep(engine, study, items, time.thread_time() - started)


def _checked(found: Results) -> list[Finding]:
    """Item after item: one that fails says so, and keeps no other from being seen."""
    checked: list[Finding] = []
    for name, check in CHECKLIST.items():
        try:
            checked += check(found)
        except Exception:
            _log.exception("the item %s of the checklist failed", name)
            checked.append(Finding(name, Verdict.NOT_ENOUGH_DATA, FAILED, {}, len(found.columns)))
    return checked


def _plain(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As JSON gives it back, so that what is kept and what is new can be compared."""
    plain: list[dict[str, Any]] = json.loads(
        json.dumps(items, allow_nan=False, default=lambda number: number.item())
    )
    return plain


def _keep(engine: Engine, study: Study, items: Sequence[dict[str, Any]], cpu_seconds: float) -> None:
    with transaction(engine) as connection:
        now = study_rows.lock(connection, study.id)
        if now is None:
            return
        before, revision = findings.get(connection, study.id), study.revision
        if before is None or list(before.items) != list(items):
            study_rows.bump(connection, study.id)
            # Its own bump is nothing that the findings have not seen; anything else in between is.
            revision += 1 if now.revision == revision else 0
        findings.put(connection, study.id, revision=revision, items=items, cpu_seconds=cpu_seconds)

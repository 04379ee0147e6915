"""Findings kept up to date, apart from the sweep: no lease waits for statistics."""

from tunebook_server.jobs.sweep import Sweep
from tunebook_server.services import findings
from tunebook_server.storage.engine import Engine
from tunebook_server.storage.locks import FINDINGS_LOCK

STUDIES_A_PASS = 8


def refresh_findings(engine: Engine) -> None:
    for study_id in findings.due(engine, limit=STUDIES_A_PASS):
        findings.refresh(engine, study_id=study_id)


def refreshing(engine: Engine, *, seconds: float) -> Sweep:
    """A thread that refreshes what is due; of several processes the one that holds the lock."""
    return Sweep(engine, seconds=seconds, steps=(refresh_findings,), lock=FINDINGS_LOCK)

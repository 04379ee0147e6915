"""Findings kept up to date, apart from the sweep: no lease waits for statistics."""

import logging

from tunebook_server.jobs.sweep import Sweep
from tunebook_server.services import findings
from tunebook_server.storage.engine import Engine
from tunebook_server.storage.locks import FINDINGS_LOCK

STUDIES_A_PASS = 8

_log = logging.getLogger(__name__)


def refresh_findings(engine: Engine) -> None:
    """A study that fails keeps no other from its turn."""
    for study_id in findings.due(engine, limit=STUDIES_A_PASS):
        try:
            findings.refresh(engine, study_id=study_id)
        except Exception:
            _log.exception("findings failed; the next pass tries again", extra={"study_id": study_id})


def refreshing(engine: Engine, *, seconds: float) -> Sweep:
    """A thread that refreshes what is due; of several processes the one that holds the lock."""
    return Sweep(engine, seconds=seconds, steps=(refresh_findings,), lock=FINDINGS_LOCK, part="findings")

"""Tunebook broken on purpose, one promise each: what a control runs before a part of it starts."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import literal, literal_column

from tunebook_server.services import metrics
from tunebook_server.services.metrics import Accepted
from tunebook_server.storage import trials

STORED_AFTER_SECONDS = 0.3


def acknowledge_before_commit() -> None:
    """A report is answered at once and stored in the background."""
    stored = metrics.report

    def report(*arguments: Any, series: Any, **named: Any) -> Accepted:
        def later() -> None:
            time.sleep(STORED_AFTER_SECONDS)
            stored(*arguments, series=series, **named)

        threading.Thread(target=later, daemon=True).start()
        return Accepted(sum(len(steps) for steps, _ in series.values()), duplicate=False)

    metrics.report = report


def give_what_is_taken() -> None:
    """Whoever has room is given the first trial that has not ended, whoever holds it."""
    open_states: list[Any] = [literal_column(f"'{state}'") for state in ("queued", "claimed", "running")]
    trials._QUEUED = trials.trials.c.state.in_(open_states)


def lease_by_own_clock() -> None:
    """A lease ends by the clock of the host that gives it."""

    def lease(lease_seconds: float) -> Any:
        return literal(datetime.now(UTC) + timedelta(seconds=lease_seconds))

    trials.lease = lease

"""How long a study will still take, judged by the trials that ended last."""

from statistics import fmean

from tunebook_server.domain.study import Study
from tunebook_server.storage import trial_columns
from tunebook_server.storage.engine import Engine, transaction

HELD = ("claimed", "running")
ENDED = ("completed", "infeasible", "stopped", "failed")


def seconds_left(engine: Engine, *, study: Study) -> float | None:
    """None where nothing runs, nothing is left, or no trial has ended yet."""
    held = sum(study.counts.get(state, 0) for state in HELD)
    left = study.budget - sum(study.counts.get(state, 0) for state in ENDED)
    if study.state != "running" or not held or left <= 0:
        return None
    with transaction(engine) as connection:
        durations = trial_columns.recent_durations_seconds(connection, study_id=study.id)
    return fmean(durations) * left / held if durations else None

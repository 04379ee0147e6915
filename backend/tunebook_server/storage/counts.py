"""Trials by state, kept by a trigger: no page counts a history."""

from collections.abc import Sequence

from sqlalchemy import select

from tunebook_server.domain.trial import TrialState
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection


def of_studies(connection: Connection, study_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """By study, every state with its number of trials."""
    counts = tables.study_counts
    found = {study_id: {state.value: 0 for state in TrialState} for study_id in study_ids}
    query = select(counts.c.study_id, counts.c.state, counts.c.trials).where(counts.c.study_id.in_(study_ids))
    for study_id, state, trials in connection.execute(query):
        found[study_id][state] = trials
    return found

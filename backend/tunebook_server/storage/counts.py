"""Trials by state, kept by a trigger: no page counts a history."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from tunebook_server.domain.trial import TrialState
from tunebook_server.storage import tables
from tunebook_server.storage.engine import Connection, straight

_counts = tables.study_counts
_NONE = {state.value: 0 for state in TrialState}
_OF_STUDY = "SELECT state, trials FROM study_counts WHERE study_id = %(study)s"
_OF_STUDIES = select(_counts.c.study_id, _counts.c.state, _counts.c.trials).where(
    _counts.c.study_id.in_(bindparam("studies", expanding=True))
)
"""Built once: it is part of everything that reads a study."""


def of_study(connection: Connection, study_id: int) -> dict[str, int]:
    """Of each state its number of trials."""
    found = straight(connection, _OF_STUDY, {"study": study_id})
    return {**_NONE, **{row.state: row.trials for row in found}}


def of_studies(connection: Connection, study_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """By study, every state with its number of trials."""
    found = {study_id: dict(_NONE) for study_id in study_ids}
    for study_id, state, trials in connection.execute(_OF_STUDIES, {"studies": list(study_ids)}):
        found[study_id][state] = trials
    return found

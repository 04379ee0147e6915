"""Attempts whose values a scheduler chose, with the steps that each of them trained."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from tunebook_server.domain.trial import Configuration

_READ = text("""
    SELECT attempts.trial_id, trials.number, attempts.epoch, attempts.parameters,
           coalesce(attempts.resumed_from_step, 0), curves.last_step, parents.number, parents.id
    FROM attempts
    JOIN trials ON trials.id = attempts.trial_id
    JOIN studies ON studies.id = trials.study_id
    JOIN metrics ON metrics.study_id = studies.id AND metrics.name = studies.metric
    JOIN curves ON curves.trial_id = trials.id AND curves.metric_id = metrics.id
               AND curves.epoch = attempts.epoch
    LEFT JOIN trials AS parents ON parents.id = attempts.resumed_from_trial_id
    WHERE trials.study_id = :study AND attempts.parameters IS NOT NULL AND curves.last_step >= :since
    ORDER BY trials.number DESC, attempts.epoch DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Trained:
    """`parent`: the number of the trial whose checkpoint it went on from."""

    trial_id: int
    number: int
    epoch: int
    parameters: Configuration
    first_step: int
    last_step: int
    parent: int | None
    parent_id: int | None


def of_study(connection: Connection, study_id: int, limit: int, *, since: int = 0) -> list[Trained]:
    """By number and epoch; of more than `limit` those of the highest numbers. Attempts without an evaluation
    at or after step `since` are left out."""
    rows = connection.execute(_READ, {"study": study_id, "limit": limit, "since": since})
    return [Trained(*row) for row in rows][::-1]

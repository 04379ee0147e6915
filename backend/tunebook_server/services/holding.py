"""What a worker's claim and a loop's ask share: trials change hands, and are handed out."""

from collections.abc import Mapping, Sequence

from tunebook_server.domain.errors import Conflict, NotFound
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Checkpoint, Trial
from tunebook_server.services import scheduling
from tunebook_server.settings import settings
from tunebook_server.storage import (
    access,
    attempts,
    checkpoints,
    metrics,
    projects,
    studies,
    templates,
    trials,
)
from tunebook_server.storage.engine import Connection, pipelined

OLDER_MOST = 20
"""Checkpoints to try, one after another, where the last one cannot be read."""


def take(
    connection: Connection,
    holders: Mapping[int, str | None],
    *,
    worker_id: int | None = None,
    started: bool = False,
) -> list[Trial]:
    """All of these trials, each for its client."""
    seconds = settings().lease_seconds
    taken = trials.claim(connection, holders, worker_id=worker_id, started=started, lease_seconds=seconds)
    for trial_id in set(holders) - {trial.id for trial in taken}:
        trial = trials.get(connection, trial_id)
        if trial is None:
            raise NotFound(f"there is no trial {trial_id}")
        raise Conflict(f"trial {trial_id} is {trial.state}, not queued", remedy="Drop the hint.")
    return taken


def hold(
    connection: Connection, study: Study, taken: Sequence[Trial], *, hosts: Sequence[str]
) -> list[tuple[Trial, Checkpoint | None]]:
    """Opens the attempts of trials that were just taken, each on its host and from its last registered
    checkpoint."""
    begun = [scheduling.resume(connection, study, trial) if trial.turn else trial for trial in taken]
    resumes = [checkpoints.last(connection, trial) if trial.epoch > 1 else None for trial in begun]
    copies = study.scheduling().copies
    attempts.add(connection, list(zip(begun, resumes, hosts, strict=True)), parameters=copies)
    for place, trial in enumerate(begun):
        if trial.epoch > 1:
            metrics.recompute_objective(connection, trial.id)
            begun[place] = trials.get(connection, trial.id) or trial
    return list(zip(begun, resumes, strict=True))


def claims_of(
    connection: Connection, study: Study, held: Sequence[tuple[Trial, Checkpoint | None]]
) -> list[Claim]:
    """Each with a new token."""
    if not held:
        return []
    with pipelined(connection):
        project = projects.name_of(connection, study.project_id)
        registered = templates.of_study(connection, study.id)
        tokens = access.mint_trial_tokens(connection, [(trial.id, trial.epoch) for trial, _ in held])
    project_name, template, limits = project(), registered(), settings()
    return [
        Claim(
            trial=trial,
            token=token,
            lease_seconds=limits.lease_seconds,
            beat_seconds=limits.beat_seconds,
            fence_seconds=limits.fence_seconds,
            template=template,
            objective=study.objective,
            resume=resume,
            older=tuple(checkpoints.resumable(connection, trial, OLDER_MOST + 1)[1:]) if resume else (),
            study_name=study.name,
            project_id=study.project_id,
            project_name=project_name,
        )
        for (trial, resume), token in zip(held, tokens, strict=True)
    ]


def lock_study(connection: Connection, study_id: int) -> Study:
    study = studies.lock(connection, study_id)
    if study is None:
        raise NotFound(f"there is no study {study_id}")
    return study

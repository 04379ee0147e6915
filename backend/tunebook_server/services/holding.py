"""What a worker's claim and a loop's ask share: trials change hands, and are handed out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tunebook_server.domain.errors import Conflict, Invalid, NotFound
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
from tunebook_server.storage.engine import Connection

_WORKERS_KEY = re.compile(r"worker [0-9]+: ")
OLDER_MOST = 20
"""Checkpoints to try, one after another, where the last one cannot be read."""


@dataclass(frozen=True, slots=True)
class Held:
    """A trial, and the checkpoints that it can go on from, the last one first."""

    trial: Trial
    resumable: tuple[Checkpoint, ...] = ()

    @property
    def resume(self) -> Checkpoint | None:
        return self.resumable[0] if self.resumable else None


def holder_of(worker_id: int, key: str) -> str:
    """A worker's key, as the client of what it takes."""
    return f"worker {worker_id}: {key}"


def refuse_workers_key(client_id: str) -> None:
    """A loop under the key of a worker would be given the worker's trial, or stand in its way."""
    if _WORKERS_KEY.match(client_id):
        raise Invalid(
            f"{client_id[:60]!a} is how the keys of workers begin",
            field="client_id",
            remedy="Begin with another word.",
        )


def held_again(connection: Connection, trial: Trial) -> Held:
    return Held(trial, tuple(checkpoints.resumable(connection, trial, OLDER_MOST + 1)))


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


def hold(connection: Connection, study: Study, taken: Sequence[Trial], *, hosts: Sequence[str]) -> list[Held]:
    """Opens the attempts of trials that were just taken, each on its host and from its last registered
    checkpoint."""
    begun = [scheduling.resume(connection, study, trial) if trial.turn else trial for trial in taken]
    held = [held_again(connection, trial) if trial.epoch > 1 else Held(trial) for trial in begun]
    rows = [(each.trial, each.resume, host) for each, host in zip(held, hosts, strict=True)]
    attempts.add(connection, rows, parameters=study.scheduling().copies)
    return [_rewound(connection, each) if each.trial.epoch > 1 else each for each in held]


def _rewound(connection: Connection, held: Held) -> Held:
    """What it reported after the checkpoint that it goes on from counts no more."""
    metrics.recompute_objective(connection, held.trial.id)
    return replace(held, trial=trials.get(connection, held.trial.id) or held.trial)


def claims_of(connection: Connection, study: Study, held: Sequence[Held]) -> list[Claim]:
    """Each with a new token."""
    if not held:
        return []
    project_name = projects.name_of(connection, study.project_id)
    template, limits = templates.of_study(connection, study.id), settings()
    tokens = access.mint_trial_tokens(connection, [(each.trial.id, each.trial.epoch) for each in held])
    return [
        Claim(
            trial=each.trial,
            token=token,
            lease_seconds=limits.lease_seconds,
            beat_seconds=limits.beat_seconds,
            fence_seconds=limits.fence_seconds,
            template=template,
            objective=study.objective,
            resume=each.resume,
            older=each.resumable[1:],
            study_name=study.name,
            project_id=study.project_id,
            project_name=project_name,
        )
        for each, token in zip(held, tokens, strict=True)
    ]


def lock_study(connection: Connection, study_id: int) -> Study:
    study = studies.lock(connection, study_id)
    if study is None:
        raise NotFound(f"there is no study {study_id}")
    return study

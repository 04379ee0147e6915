"""Checkpoints: registered when they are complete; a later attempt goes on from the last of them."""

from tunebook_server.domain import lifecycle, paging
from tunebook_server.domain.errors import Invalid, Mismatch, NotFound
from tunebook_server.domain.paging import Page
from tunebook_server.domain.texts import STEP_HIGHEST, name_text, whole_number
from tunebook_server.domain.trial import Checkpoint
from tunebook_server.storage import checkpoints, studies, trials
from tunebook_server.storage.engine import Connection, Engine, transaction

URI_LONGEST = 4096


def register(
    engine: Engine, *, trial_id: int, epoch: int, step: int, uri: str, metric: float | None = None
) -> Checkpoint:
    """Registers once, whatever the number of deliveries.

    Raises Fenced for an attempt that no longer holds the trial, Mismatch when the step was registered with
    another uri, Invalid for another attempt's folder.
    """
    whole_number(step, field="step", low=-STEP_HIGHEST - 1, high=STEP_HIGHEST)
    name_text(uri, field="uri", limit=URI_LONGEST)
    with transaction(engine) as connection:
        trial = trials.lock(connection, trial_id)
        if trial is None:
            raise NotFound(f"there is no trial {trial_id}")
        lifecycle.fence(trial, epoch)
        earlier = checkpoints.get(connection, trial_id, epoch, step)
        if earlier is not None:
            if earlier.uri != uri:
                raise Mismatch(
                    f"step {step} has a checkpoint already", field="step", remedy="Count steps up."
                )
            return earlier
        _take_folder(connection, trial_id, epoch, uri)
        checkpoint = checkpoints.add(
            connection, trial_id=trial_id, epoch=epoch, step=step, uri=uri, metric=metric
        )
        studies.bump(connection, trial.study_id)
    return checkpoint


def page(engine: Engine, *, trial_id: int, limit: int = 100, cursor: str | None = None) -> Page[Checkpoint]:
    """The newest first."""
    paging.page_size(limit)
    position = None
    if cursor is not None:
        epoch, step = paging.decode(cursor, int, int)
        position = (int(epoch or 0), int(step or 0))
    with transaction(engine) as connection:
        if trials.get(connection, trial_id) is None:
            raise NotFound(f"there is no trial {trial_id}")
        found = checkpoints.before(connection, trial_id, position, limit + 1)
    return paging.cut(found, limit, lambda last: (last.epoch, last.step))


def _take_folder(connection: Connection, trial_id: int, epoch: int, uri: str) -> None:
    """A worker that was paused and wakes up writes into its own folder, never over its successor's files."""
    folder = uri.rstrip("/").rpartition("/")[0] or "."
    owner = checkpoints.folder_owner(connection, trial_id, epoch, folder)
    if owner is not None:
        problem = f"the folder of this checkpoint belongs to attempt {owner}"
        raise Invalid(problem, field="uri", remedy="Write into the checkpoint folder of this attempt.")
    checkpoints.own_folder(connection, trial_id, epoch, folder)

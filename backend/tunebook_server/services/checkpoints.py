"""Checkpoints: registered when they are complete; a later attempt goes on from the last of them."""

from dataclasses import dataclass

from tunebook_server.domain import lifecycle, paging
from tunebook_server.domain.errors import Invalid, Mismatch, NotFound
from tunebook_server.domain.paging import Page
from tunebook_server.domain.texts import STEP_HIGHEST, name_text, short_reason, whole_number
from tunebook_server.domain.trial import Checkpoint
from tunebook_server.services import retention
from tunebook_server.services.retention import Outlook
from tunebook_server.storage import attempts, checkpoints, metrics, studies, trials
from tunebook_server.storage.engine import Connection, Engine, transaction

URI_LONGEST = 4096
HASH_LONGEST = 200
LOST_MOST = 100


@dataclass(frozen=True, slots=True)
class Lost:
    """A registered checkpoint that is no longer what it was, and what is wrong with it."""

    epoch: int
    step: int
    problem: str
    trial_id: int | None = None
    """Where it is another trial's."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """From which checkpoint an attempt goes on in place of the one it was given; `epoch` and `step` are None
    for one that starts over. `note` says why, `lost` which checkpoints are damaged or gone for good."""

    epoch: int | None
    step: int | None
    note: str
    lost: tuple[Lost, ...] = ()
    trial_id: int | None = None
    """Where the checkpoint is another trial's."""


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint with what becomes of it: `state` keep, remove_next, removing or removed, and why."""

    checkpoint: Checkpoint
    state: str
    reason: str


def register(
    engine: Engine,
    *,
    trial_id: int,
    epoch: int,
    step: int,
    uri: str,
    metric: float | None = None,
    size_bytes: int | None = None,
    content_hash: str = "",
) -> Checkpoint:
    """Registers once, whatever the number of deliveries, and gives up what the study's policy does not keep.

    Without a `metric` it gets the objective's value at its step, or last before it, when there is one.

    Raises Fenced for an attempt that no longer holds the trial, Mismatch when the step was registered with
    another uri, Invalid for another attempt's folder.
    """
    whole_number(step, field="step", low=-STEP_HIGHEST - 1, high=STEP_HIGHEST)
    name_text(uri, field="uri", limit=URI_LONGEST)
    if size_bytes is not None:
        whole_number(size_bytes, field="size_bytes", low=0, high=STEP_HIGHEST)
    if content_hash:
        name_text(content_hash, field="content_hash", limit=HASH_LONGEST)
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
            connection,
            trial_id=trial_id,
            epoch=epoch,
            step=step,
            uri=uri,
            metric=metric,
            size_bytes=size_bytes,
            content_hash=content_hash,
        )
        retention.settle(connection, trial)
        studies.bump(connection, trial.study_id)
        return checkpoints.get(connection, trial_id, epoch, step) or checkpoint


def given_up(engine: Engine, *, trial_id: int, epoch: int) -> list[int]:
    """Steps of this attempt whose checkpoints are not kept."""
    with transaction(engine) as connection:
        return checkpoints.given_up(connection, trial_id, epoch)


def resumed(connection: Connection, *, trial_id: int, epoch: int, where: Resumed) -> None:
    """The attempt goes on from another checkpoint than it was given: later points of older attempts are
    superseded from there on. The trial's row is locked."""
    if where.epoch is None or where.step is None:
        chosen = None
    else:
        of_trial = _source(connection, trial_id, epoch, where.trial_id)
        chosen = checkpoints.get(connection, of_trial, where.epoch, where.step)
        if chosen is None:
            problem = f"there is no checkpoint of step {where.step} of attempt {where.epoch}"
            raise Invalid(problem, field="resumed.step", remedy="Name one that was registered.")
    sources = [_source(connection, trial_id, epoch, each.trial_id) for each in where.lost]
    lost = [
        checkpoints.get(connection, source, each.epoch, each.step)
        for source, each in zip(sources, where.lost, strict=True)
    ]
    problems = {
        found.id: short_reason(each.problem)
        for found, each in zip(lost, where.lost, strict=True)
        if found is not None
    }
    checkpoints.condemn(connection, problems)
    attempts.resume(connection, trial_id, epoch, chosen, short_reason(where.note))
    metrics.recompute_objective(connection, trial_id)


def _source(connection: Connection, trial_id: int, epoch: int, named: int | None) -> int:
    """The trial whose checkpoint an attempt speaks of: its own, or the one that it was given a copy of."""
    if named is None or named == trial_id:
        return trial_id
    attempt = attempts.get(connection, trial_id, epoch)
    if attempt is None or attempt.resumed_from_trial_id != named:
        problem = f"trial {trial_id} was given no checkpoint of trial {named}"
        raise Invalid(problem, field="resumed.trial_id", remedy="Name the trial that came with the claim.")
    return named


def page(
    engine: Engine, *, trial_id: int, limit: int = 100, cursor: str | None = None
) -> Page[CheckpointRow]:
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
    outlook = retention.outlook(engine, trial_id=trial_id)
    cut = paging.cut(found, limit, lambda last: (last.epoch, last.step))
    return Page(tuple(_row(each, outlook) for each in cut.items), cut.next)


def _row(checkpoint: Checkpoint, outlook: Outlook) -> CheckpointRow:
    if checkpoint.removed_at is not None:
        return CheckpointRow(checkpoint, "removed", checkpoint.removal_reason)
    if checkpoint.condemned_at is not None:
        return CheckpointRow(checkpoint, "removing", checkpoint.removal_reason)
    reason = outlook.kept.get(checkpoint.id, "until it is judged again")
    if checkpoint.id in outlook.next_to_go:
        return CheckpointRow(checkpoint, "remove_next", f"{reason}, until the next one is registered")
    return CheckpointRow(checkpoint, "keep", reason)


def _take_folder(connection: Connection, trial_id: int, epoch: int, uri: str) -> None:
    """A worker that was paused and wakes up writes into its own folder, never over its successor's files."""
    folder = uri.rstrip("/").rpartition("/")[0] or "."
    owner = checkpoints.folder_owner(connection, trial_id, epoch, folder)
    if owner is not None:
        problem = f"the folder of this checkpoint belongs to attempt {owner}"
        raise Invalid(problem, field="uri", remedy="Write into the checkpoint folder of this attempt.")
    checkpoints.own_folder(connection, trial_id, epoch, folder)

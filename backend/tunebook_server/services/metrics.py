"""Reports of training jobs."""

from dataclasses import dataclass

from tunebook_server.domain.batch import Batch, Series, batch
from tunebook_server.domain.curve import Score, after, score
from tunebook_server.domain.errors import Fenced, Invalid, Mismatch
from tunebook_server.domain.trial import HELD, TrialState
from tunebook_server.storage import attempts, metrics, studies
from tunebook_server.storage.engine import Connection, Engine, transaction
from tunebook_server.storage.metrics import Target

MAX_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Accepted:
    points: int
    duplicate: bool


def report(
    engine: Engine, *, trial_id: int, epoch: int, sequence: int, series: Series, content_hash: bytes
) -> Accepted:
    """Stores a batch once, whatever the number of deliveries, and brings the trial's objective up to date.

    `sequence` counts the batches of an attempt; of two values for a step that of the higher stays.
    Raises Invalid, NotFound, Fenced (a newer attempt holds the trial, or it has ended; the refused points are
    counted on their attempt), Mismatch (this sequence came before with another `content_hash`).
    """
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise Invalid(f"sequence is {sequence}", field="sequence", remedy="Count batches from 0.")
    content = batch(series)
    try:
        with transaction(engine) as connection:
            return _store(
                connection,
                content,
                trial_id=trial_id,
                epoch=epoch,
                sequence=sequence,
                content_hash=content_hash,
            )
    except Fenced:
        with transaction(engine) as connection:
            attempts.drop(connection, trial_id, epoch, len(content.steps))
        raise


def _store(
    connection: Connection, content: Batch, *, trial_id: int, epoch: int, sequence: int, content_hash: bytes
) -> Accepted:
    target = metrics.lock(connection, trial_id=trial_id, epoch=epoch, sequence=sequence, names=content.names)
    if _fenced(target, epoch, content_hash):
        return Accepted(len(content.steps), duplicate=True)
    scored = _appended_score(target, content)
    written = metrics.write(
        connection,
        trial_id=trial_id,
        epoch=epoch,
        sequence=sequence,
        content_hash=content_hash,
        metric_ids=_metric_ids(connection, target, content.names),
        batch=content,
        score=scored,
    )
    if not written:
        earlier = metrics.content_hash(connection, trial_id=trial_id, epoch=epoch, sequence=sequence)
        _check_same(earlier, content_hash)
        return Accepted(len(content.steps), duplicate=True)
    rewritten = scored is None and target.objective.metric in content.names
    if rewritten:
        metrics.recompute_objective(connection, trial_id)
    if target.state == TrialState.CLAIMED:
        metrics.set_running(connection, trial_id=trial_id)
    if rewritten or (scored and scored.objective != target.score.objective):
        studies.bump_best(connection, target.study_id)
    else:
        studies.bump(connection, target.study_id)
    return Accepted(len(content.steps), duplicate=False)


def _fenced(target: Target, epoch: int, content_hash: bytes) -> bool:
    """True for a batch that is stored already; raises Fenced for one that may not be stored any more."""
    if target.epoch != epoch:
        raise Fenced(
            f"attempt {epoch} no longer holds the trial: attempt {target.epoch} does",
            field="epoch",
            remedy="Stop the training job; its later points are not wanted.",
        )
    if target.content_hash is not None:
        _check_same(target.content_hash, content_hash)
        return True
    if target.state not in HELD:
        raise Fenced(f"the trial is {target.state}", remedy="Stop the training job.")
    return False


def _check_same(earlier: bytes | None, content_hash: bytes) -> None:
    if earlier != content_hash:
        raise Mismatch(
            "this sequence came before with other content",
            field="sequence",
            remedy="Count the sequence up by one for every new batch.",
        )


def _metric_ids(connection: Connection, target: Target, names: tuple[str, ...]) -> tuple[int, ...]:
    known = tuple(metric_id for metric_id in target.metric_ids if metric_id is not None)
    if len(known) == len(names):
        return known
    return metrics.add_names(connection, study_id=target.study_id, names=names)


def _appended_score(target: Target, content: Batch) -> Score | None:
    """The trial's score after points that continue its objective's curve; None for any others."""
    if target.objective.metric not in content.names:
        return None
    summary = content.summary(content.names.index(target.objective.metric))
    last_step = target.score.last_step
    if last_step is not None and summary.first_step <= last_step:
        return None
    return after(target.objective, target.score, score(target.objective, summary))

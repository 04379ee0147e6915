"""Reports of training jobs."""

from dataclasses import dataclass, replace

from tunebook_server.domain.batch import Batch, Series, batch
from tunebook_server.domain.curve import Score, after, score
from tunebook_server.domain.errors import Fenced, Invalid, Mismatch
from tunebook_server.domain.trial import HELD, End, TrialState
from tunebook_server.services import reported, scheduling
from tunebook_server.storage import attempts, metrics, studies, trials
from tunebook_server.storage.engine import Connection, Engine, autocommit, transaction
from tunebook_server.storage.metrics import Locked, Target, Written

MAX_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Accepted:
    """`end`: the attempt is to end, as its scheduler or somebody has decided."""

    points: int
    duplicate: bool
    end: End = End.NOT


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
    incoming = Incoming(trial_id, epoch, sequence, content_hash, batch(series))
    try:
        return _append(engine, incoming) or _store(engine, incoming)
    except Fenced:
        with transaction(engine) as connection:
            attempts.drop(connection, trial_id, epoch, incoming.points)
        raise


@dataclass(frozen=True, slots=True)
class Incoming:
    trial_id: int
    epoch: int
    sequence: int
    content_hash: bytes
    content: Batch

    @property
    def points(self) -> int:
        return len(self.content.steps)


def _append(engine: Engine, incoming: Incoming) -> Accepted | None:
    """Writes a batch that only continues its curves, on what the last report left: one statement, no lock.

    None where more is to be done than that, or where the trial has changed since.
    """
    last = reported.last(engine, incoming.trial_id)
    ids = last and last.continued_by(incoming.epoch, incoming.sequence, incoming.content)
    if not last or not ids:
        return None
    score = _scored(last.target, incoming.content)
    if score is None or score.objective != last.target.score.objective:
        return None
    if scheduling.is_due(last.target, score.last_step):
        return None
    with autocommit(engine) as connection:
        written = _write(connection, last.target, incoming, ids, score, bump=True)
    if written is None:
        return None
    _note(engine, last.target, incoming, ids, score)
    return Accepted(incoming.points, duplicate=False)


def _store(engine: Engine, incoming: Incoming) -> Accepted:
    """Writes any batch, under the lock of its trial."""
    with transaction(engine) as connection:
        locked = metrics.lock(
            connection,
            trial_id=incoming.trial_id,
            epoch=incoming.epoch,
            sequence=incoming.sequence,
            names=incoming.content.names,
        )
        target = locked.target
        if _fenced(locked, incoming):
            return Accepted(incoming.points, duplicate=True, end=locked.end)
        score = _scored(target, incoming.content)
        rescored = score is None or score.objective != target.score.objective
        ids = _metric_ids(connection, locked, incoming.content.names)
        written = _write(connection, target, incoming, ids, score or target.score, bump=not rescored)
        if written is None:
            earlier = metrics.content_hash(
                connection, trial_id=target.trial_id, epoch=target.epoch, sequence=incoming.sequence
            )
            _check_same(earlier, incoming.content_hash)
            return Accepted(incoming.points, duplicate=True)
        if score is None:
            metrics.recompute_objective(connection, target.trial_id)
        if target.state == TrialState.CLAIMED:
            metrics.set_running(connection, trial_id=target.trial_id)
        judged = _judged(connection, target, incoming, score)
        if rescored or judged is not target:
            studies.bump_best(connection, target.study_id)
        end = locked.end if judged is target else trials.wanted_end(connection, target.trial_id)
    if score is None or written.late:
        reported.forget(engine, target.trial_id)
    else:
        _note(engine, judged, incoming, ids, score)
    return Accepted(incoming.points, duplicate=False, end=end)


def _judged(connection: Connection, target: Target, incoming: Incoming, score: Score | None) -> Target:
    """The target again, where its scheduler had nothing to decide."""
    if target.decide_at is None or target.objective.metric not in incoming.content.names:
        return target
    evaluations = None
    if score is None:
        score = metrics.score(connection, target.trial_id)
    else:
        evaluations = incoming.content.series(incoming.content.names.index(target.objective.metric))
    if not scheduling.is_due(target, score.last_step):
        return target
    return scheduling.judge(connection, target, score, evaluations)


def _write(
    connection: Connection,
    target: Target,
    incoming: Incoming,
    metric_ids: tuple[int, ...],
    score: Score,
    *,
    bump: bool,
) -> Written | None:
    return metrics.write(
        connection,
        target=target,
        sequence=incoming.sequence,
        content_hash=incoming.content_hash,
        metric_ids=metric_ids,
        batch=incoming.content,
        score=score,
        bump=bump,
    )


def _note(
    engine: Engine, target: Target, incoming: Incoming, metric_ids: tuple[int, ...], score: Score
) -> None:
    now = replace(target, state=TrialState.RUNNING, reports=target.reports + 1, score=score)
    reported.note(engine, now, incoming.sequence, incoming.content, metric_ids)


def _fenced(locked: Locked, incoming: Incoming) -> bool:
    """True for a batch that is stored already; raises Fenced for one that may not be stored any more."""
    target = locked.target
    if target.epoch != incoming.epoch:
        raise Fenced(
            f"attempt {incoming.epoch} no longer holds the trial: attempt {target.epoch} does",
            field="epoch",
            remedy="Stop the training job; its later points are not wanted.",
        )
    if locked.content_hash is not None:
        _check_same(locked.content_hash, incoming.content_hash)
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


def _metric_ids(connection: Connection, locked: Locked, names: tuple[str, ...]) -> tuple[int, ...]:
    known = tuple(metric_id for metric_id in locked.metric_ids if metric_id is not None)
    if len(known) == len(names):
        return known
    return metrics.add_names(connection, study_id=locked.target.study_id, names=names)


def _scored(target: Target, content: Batch) -> Score | None:
    """The trial's score after the batch; None where that rewrites the objective's curve: all points tell."""
    if target.objective.metric not in content.names:
        return target.score
    summary = content.summary(content.names.index(target.objective.metric))
    last_step = target.score.last_step
    if last_step is not None and summary.first_step <= last_step:
        return None
    return after(target.objective, target.score, score(target.objective, summary))

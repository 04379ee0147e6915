"""What is kept of checkpoints: judged by the server, removed by workers, who alone reach the stores.

A checkpoint is condemned in the transaction that decides it, and never resumed from after that. Workers ask
for the condemned ones in their reach, remove them, and say so; one that dies in between is told again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.retention import Verdict, judge, next_to_go
from tunebook_server.domain.study import Study
from tunebook_server.domain.texts import name_text
from tunebook_server.domain.trial import ENDED, HELD, Checkpoint, Trial, TrialState
from tunebook_server.storage import attempts, audit, checkpoints, evaluations, studies, trials, workers
from tunebook_server.storage.engine import Connection, Engine, transaction

SETTLED_AT_ONCE = 50
"""Ended trials whose checkpoints are judged in one call."""
REMOVED_AT_ONCE = 100
SCORED_AGAIN = 3
"""Of the newest checkpoints: points reach the server within seconds of the checkpoint saved with them."""
ROOTS_MOST = 20
ROOT_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Root:
    """A place that a worker can remove from; one that is not `shared` is a folder of its host alone."""

    uri: str
    shared: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """What will become of the checkpoints of a trial: by id why one is kept, and which go next."""

    kept: dict[int, str]
    next_to_go: frozenset[int]


def settle(connection: Connection, trial: Trial) -> None:
    """Condemns what the study's policy does not keep. The trial's row is locked; bump its study after."""
    study = _study(connection, trial)
    checkpoints.hold_all(connection, trial.id)
    live = _scored(connection, trial, study)
    verdicts, in_best = _judged(connection, trial, study, live)
    checkpoints.condemn(connection, {v.checkpoint.id: v.reason for v in verdicts if not v.keep})
    ranked = study.retention.keep_trials is not None and in_best
    ended = "kept" if ranked and _is_final(trial) else "settled"
    checkpoints.settle(connection, trial.id, ended if trial.state in ENDED else "open")


def take(engine: Engine, *, worker_id: int, roots: Sequence[Root]) -> list[Checkpoint]:
    """Up to 100 checkpoints that this worker should remove; those of trials that ended are judged first."""
    if len(roots) > ROOTS_MOST:
        raise Invalid(f"roots has {len(roots)} entries", field="roots", remedy=f"At most {ROOTS_MOST}.")
    for place, root in enumerate(roots):
        name_text(root.uri, field=f"roots.{place}.uri", limit=ROOT_LONGEST)
    settle_ended(engine)
    with transaction(engine) as connection:
        worker = workers.get(connection, worker_id)
        if worker is None:
            raise NotFound(f"there is no worker {worker_id}")
        found: dict[int, Checkpoint] = {}
        for root in roots:
            host = None if root.shared else worker.host
            limit = REMOVED_AT_ONCE - len(found)
            for checkpoint in checkpoints.condemned(
                connection, root=root.uri, worker_id=worker_id, host=host, limit=limit
            ):
                found[checkpoint.id] = checkpoint
    return list(found.values())


def confirm(
    engine: Engine,
    *,
    worker_id: int,
    checkpoint_ids: Sequence[int],
    failed: Sequence[int] = (),
    actor: str,
) -> list[Checkpoint]:
    """The worker has removed these; an id that is not condemned, or was confirmed before, changes nothing.
    Those that `failed` are told again, after all others."""
    for field, ids in (("removed", checkpoint_ids), ("failed", failed)):
        if len(ids) > REMOVED_AT_ONCE:
            problem = f"{field} has {len(ids)} entries"
            raise Invalid(problem, field=field, remedy=f"At most {REMOVED_AT_ONCE}.")
    with transaction(engine) as connection:
        if workers.get(connection, worker_id) is None:
            raise NotFound(f"there is no worker {worker_id}")
        gone = checkpoints.removed(connection, checkpoint_ids)
        checkpoints.put_off(connection, failed)
        for each in gone:
            detail = {"epoch": each.epoch, "step": each.step, "uri": each.uri, "reason": each.removal_reason}
            target = f"trial:{each.trial_id}"
            audit.write(connection, actor=actor, action="checkpoint.remove", target=target, detail=detail)
        found = trials.many(connection, sorted({each.trial_id for each in gone}))
        for study_id in sorted({trial.study_id for trial in found.values()}):
            studies.bump(connection, study_id)
    return gone


def settle_ended(engine: Engine) -> None:
    """Judges the checkpoints of trials that have ended since, and of those that they outrank."""
    with transaction(engine) as connection:
        unsettled = checkpoints.unsettled(connection, SETTLED_AT_ONCE)
    for trial_id in unsettled:
        study_id = _settle_one(engine, trial_id)
        if study_id is not None:
            for outranked in _outranked(engine, study_id):
                _settle_one(engine, outranked)


def outlook(engine: Engine, *, trial_id: int) -> Outlook:
    """As the policy stands today."""
    with transaction(engine) as connection:
        trial = trials.get(connection, trial_id)
        if trial is None:
            raise NotFound(f"there is no trial {trial_id}")
        study = _study(connection, trial)
        live = checkpoints.live(connection, trial_id)
        verdicts, _ = _judged(connection, trial, study, live)
        resumed_from = _resumed_from(connection, trial)
    going: set[int] = set()
    if not _is_final(trial):
        going = next_to_go(live, study.retention, study.objective, resumed_from=resumed_from)
    return Outlook({v.checkpoint.id: v.reason for v in verdicts if v.keep}, frozenset(going))


def _settle_one(engine: Engine, trial_id: int) -> int | None:
    """The trial's study; None when it is gone or has not ended."""
    with transaction(engine) as connection:
        trial = trials.lock(connection, trial_id)
        if trial is None or trial.state not in ENDED:
            return None
        settle(connection, trial)
        studies.bump(connection, trial.study_id)
    return trial.study_id


def _outranked(engine: Engine, study_id: int) -> list[int]:
    with transaction(engine) as connection:
        study = studies.get(connection, study_id)
        if study is None or study.retention.keep_trials is None:
            return []
        best = checkpoints.best_trials(connection, study_id, study.objective, study.retention.keep_trials)
        return [trial_id for trial_id in checkpoints.keeping(connection, study_id) if trial_id not in best]


def _judged(
    connection: Connection, trial: Trial, study: Study, live: Sequence[Checkpoint]
) -> tuple[list[Verdict], bool]:
    in_best = True
    if _is_final(trial) and study.retention.keep_trials is not None:
        keep = study.retention.keep_trials
        in_best = trial.id in checkpoints.best_trials(connection, study.id, study.objective, keep)
    verdicts = judge(
        live,
        study.retention,
        study.objective,
        ended=_is_final(trial),
        resumed_from=_resumed_from(connection, trial),
        among_best=in_best,
        wanted=checkpoints.wanted(connection, trial.id),
    )
    return verdicts, in_best


def _scored(connection: Connection, trial: Trial, study: Study) -> list[Checkpoint]:
    """The live ones, with the objective's values that are known by now: points may come after the
    checkpoint that was saved with them."""
    metric = study.objective.metric
    for each in checkpoints.newest(connection, trial.id, SCORED_AGAIN):
        if each.metric_step == each.step or (each.metric is not None and each.metric_step is None):
            continue
        found = evaluations.at(connection, trial_id=trial.id, epoch=each.epoch, metric=metric, step=each.step)
        if found is not None and found != (each.metric, each.metric_step):
            checkpoints.score(connection, each.id, *found)
    return checkpoints.live(connection, trial.id)


def _resumed_from(connection: Connection, trial: Trial) -> tuple[int, int] | None:
    attempt = attempts.get(connection, trial.id, trial.epoch) if trial.state in HELD else None
    if attempt is None or attempt.resumed_from_epoch is None or attempt.resumed_from_step is None:
        return None
    if attempt.resumed_from_trial_id is not None:
        return None
    return attempt.resumed_from_epoch, attempt.resumed_from_step


def _is_final(trial: Trial) -> bool:
    """A failed trial may be tried again, and goes on from its last checkpoint then."""
    return trial.state in ENDED and trial.state is not TrialState.FAILED


def _study(connection: Connection, trial: Trial) -> Study:
    study = studies.get(connection, trial.study_id)
    assert study is not None
    return study

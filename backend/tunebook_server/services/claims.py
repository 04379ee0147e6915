"""How a worker that has room takes a trial, and how one is queued by hand."""

from contextlib import suppress

from tunebook_server.domain.errors import Conflict, NotFound
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.resources import CPUS_MOST, GPUS_MOST
from tunebook_server.domain.study import Study
from tunebook_server.domain.texts import name_text, whole_number
from tunebook_server.domain.trial import Configuration, Trial
from tunebook_server.services import sampling
from tunebook_server.services.holding import claims_of, held_again, hold, holder_of, lock_study, take
from tunebook_server.services.suggesting import Ready, with_suggestions
from tunebook_server.settings import settings
from tunebook_server.storage import (
    audit,
    projects,
    studies,
    trials,
    turns,
    workers,
)
from tunebook_server.storage.engine import Connection, Engine, transaction

STUDIES_TRIED = 16
KEY_LONGEST = 100


def claim(engine: Engine, *, trial_id: int, worker_id: int, host: str = "") -> Claim:
    """Gives a queued trial to a worker: a new epoch, a lease, a token.

    Raises Conflict when it is not queued (any more), or its study is not running or runs enough already.
    """
    host = name_text(host, field="host") if host else ""
    try:
        with transaction(engine) as connection:
            (trial,) = take(connection, {trial_id: None}, worker_id=worker_id)
            _refuse_drained(connection, worker_id)
            taken = _give(connection, trial, host)
    except Conflict:
        # This hint is used up: the next free place is worth another one, at once.
        with transaction(engine) as connection:
            trials.forget_hint(connection, trial_id)
        raise
    return taken


def claim_next(
    engine: Engine, *, worker_id: int, key: str, gpus: int = 0, cpus: int = 0, host: str = ""
) -> Claim | None:
    """The queued trial whose turn it is, of those that fit the worker's labels and its free GPUs and cores.

    Of the projects, then of the studies inside one, that comes first which holds least for its weight;
    studies of a higher priority go before their project's others. None when nothing is to be done. `key`:
    the same one again, because the answer was lost, gives the same trial with a new token.
    """
    holder = holder_of(worker_id, name_text(key, field="key", limit=KEY_LONGEST))
    whole_number(gpus, field="gpus", low=0, high=GPUS_MOST)
    whole_number(cpus, field="cpus", low=0, high=CPUS_MOST)
    host = name_text(host, field="host") if host else ""
    with transaction(engine) as connection:
        worker = workers.get(connection, worker_id)
        if worker is None:
            raise NotFound(f"there is no worker {worker_id}")
        if worker.drain_requested_at is not None:
            return None
        again = _held_again(connection, worker_id, holder)
        if again is not None:
            return again
        order = turns.studies_next(connection, worker, gpus=gpus, cpus=cpus, limit=STUDIES_TRIED)
    for study_id in order:
        # The choice is a moment old: another worker may have been faster, or a limit may be reached by now.
        with suppress(Conflict), transaction(engine) as connection:
            trials.serialise_clients(connection, 0, [holder])
            again = _held_again(connection, worker_id, holder)
            if again is not None:
                return again
            for trial_id in trials.take_queued(connection, study_id, 1):
                (trial,) = take(connection, {trial_id: holder}, worker_id=worker_id)
                return _give(connection, trial, host)
    return None


def enqueue(engine: Engine, *, study_id: int, parameters: Configuration | None = None, actor: str) -> Trial:
    """One queued trial with these parameters, or the sampler's next; Conflict at the end of the budget."""
    return with_suggestions(
        engine, study_id, lambda ready: _enqueue(engine, study_id, parameters, ready, actor=actor)
    )


def _enqueue(
    engine: Engine, study_id: int, parameters: Configuration | None, ready: Ready | None, *, actor: str
) -> Trial:
    with transaction(engine) as connection:
        study = lock_study(connection, study_id)
        if study.state == "finished":
            raise Conflict("the study is finished", remedy="Set its state to running first.")
        if parameters is None:
            made = sampling.create(connection, study, 1, ready)
        elif study.next_number < study.budget:
            made = sampling.add(connection, study, [study.space.check(parameters)])
        else:
            made = []
        if not made:
            raise Conflict(
                f"the budget of {study.budget} trials is used up", remedy="Raise the study's budget."
            )
        audit.write(connection, actor=actor, action="trial.enqueue", target=f"trial:{made[0].id}")
    return made[0]


def _held_again(connection: Connection, worker_id: int, holder: str) -> Claim | None:
    """What this key was given before, where the answer may have been lost.

    With a whole lease from now on: the worker reckons its fence from this request, not from the lost one.
    """
    held = trials.held_under(connection, worker_id, holder)
    if held is not None:
        held = trials.beat(connection, held.id, held.epoch, lease_seconds=settings().lease_seconds)
    if held is None:
        return None
    study = lock_study(connection, held.study_id)
    (claim,) = claims_of(connection, study, [held_again(connection, held)])
    return claim


def _give(connection: Connection, trial: Trial, host: str) -> Claim:
    study = lock_study(connection, trial.study_id)
    _refuse(connection, study)
    (claim,) = claims_of(connection, study, hold(connection, study, [trial], hosts=[host]))
    studies.note_claim(connection, study.id)
    studies.bump_best(connection, study.id)
    return claim


def _refuse(connection: Connection, study: Study) -> None:
    """Raise Conflict where a worker may not have this trial; the counts hold it already."""
    if study.state != "running":
        raise Conflict(f"the study is {study.state}", remedy="Drop the hint.")
    if study.job_template_id is None:
        raise Conflict("the study has no job template: a loop asks for its trials", remedy="Drop the hint.")
    if study.counts["claimed"] + study.counts["running"] > study.parallel:
        raise Conflict(f"the study runs {study.parallel} trials at a time", remedy="Drop the hint.")
    limit = projects.parallel(connection, study.project_id)
    if limit is not None and turns.held_by_project(connection, study.project_id) > limit:
        raise Conflict(f"the project runs {limit} trials at a time", remedy="Drop the hint.")


def _refuse_drained(connection: Connection, worker_id: int) -> None:
    worker = workers.get(connection, worker_id)
    if worker is not None and worker.drain_requested_at is not None:
        raise Conflict(f"the worker {worker.name} is draining", remedy="Drop the hint.")

"""How a trial is taken: by a worker that has room, or by a loop that asks for one."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from tunebook_server.domain.errors import Conflict, NotFound
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.resources import CPUS_MOST, GPUS_MOST
from tunebook_server.domain.study import Study
from tunebook_server.domain.texts import name_text, whole_number
from tunebook_server.domain.trial import Checkpoint, Configuration, Trial
from tunebook_server.services import sampling, scheduling
from tunebook_server.services.suggesting import Ready, with_suggestions
from tunebook_server.settings import settings
from tunebook_server.storage import (
    access,
    attempts,
    audit,
    checkpoints,
    metrics,
    projects,
    studies,
    templates,
    trials,
    turns,
    workers,
)
from tunebook_server.storage.engine import Connection, Engine, transaction

STUDIES_TRIED = 16
ASK_MOST = 256
KEY_LONGEST = 100
OLDER_MOST = 20
"""Checkpoints to try, one after another, where the last one cannot be read."""
CLIENT_LONGEST = 190
"""Characters; the column has 200, and the second trial of a client is kept under "client#2"."""


def claim(engine: Engine, *, trial_id: int, worker_id: int, host: str = "") -> Claim:
    """Gives a queued trial to a worker: a new epoch, a lease, a token.

    Raises Conflict when it is not queued (any more), or its study is not running or runs enough already.
    """
    host = name_text(host, field="host") if host else ""
    try:
        with transaction(engine) as connection:
            (trial,) = _take(connection, {trial_id: None}, worker_id=worker_id)
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
    holder = f"worker {worker_id}: {name_text(key, field='key', limit=KEY_LONGEST)}"
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
            trials.serialise_client(connection, 0, holder)
            again = _held_again(connection, worker_id, holder)
            if again is not None:
                return again
            for trial_id in trials.take_queued(connection, study_id, 1):
                (trial,) = _take(connection, {trial_id: holder}, worker_id=worker_id)
                return _give(connection, trial, host)
    return None


def ask(
    engine: Engine, *, study_id: int, client_id: str, count: int = 1, host: str = "", actor: str
) -> list[Claim]:
    """`count` running trials for a loop of one's own, fewer at the end of the study.

    A client that asks again gets the trials that it holds already, with new tokens for the same epochs; then
    queued trials, lowest number first; then new ones from the sampler. The study's `parallel` binds workers
    alone: a loop knows what it can run.
    """
    name_text(client_id, field="client_id", limit=CLIENT_LONGEST)
    whole_number(count, field="count", low=1, high=ASK_MOST)
    host = name_text(host, field="host") if host else ""
    names = [client_id, *(f"{client_id}#{place}" for place in range(2, count + 1))]
    return with_suggestions(
        engine, study_id, lambda ready: _ask(engine, study_id, names, ready, host=host, actor=actor)
    )


def _ask(
    engine: Engine, study_id: int, names: Sequence[str], ready: Ready | None, *, host: str, actor: str
) -> list[Claim]:
    client_id = names[0]
    with transaction(engine) as connection:
        trials.serialise_client(connection, study_id, client_id)
        held = trials.held_by_client(connection, study_id, names)
        free = [name for name in names if name not in {trial.client_id for trial in held}]
        # Queued trials are locked before the study: trial, then study, everywhere.
        queued = trials.take_queued(connection, study_id, len(free))
        study = _lock(connection, study_id)
        if study.state == "paused" and not held:
            raise Conflict("the study is paused", remedy="Resume it, or wait.")
        claims = _claims(connection, study, [(each, checkpoints.last(connection, each)) for each in held])
        if study.state == "running" and free:
            made = sampling.create(connection, study, len(free) - len(queued), ready)
            queued += [trial.id for trial in made]
            if queued:
                taken = _take(connection, dict(zip(queued, free, strict=False)), started=True)
                claims += _hold(connection, study, taken, host)
                detail = {"client": client_id, "trials": queued}
                target = f"study:{study_id}"
                audit.write(connection, actor=actor, action="study.ask", target=target, detail=detail)
            studies.bump_best(connection, study_id)
    return claims


def enqueue(engine: Engine, *, study_id: int, parameters: Configuration | None = None, actor: str) -> Trial:
    """One queued trial with these parameters, or the sampler's next; Conflict at the end of the budget."""
    return with_suggestions(
        engine, study_id, lambda ready: _enqueue(engine, study_id, parameters, ready, actor=actor)
    )


def _enqueue(
    engine: Engine, study_id: int, parameters: Configuration | None, ready: Ready | None, *, actor: str
) -> Trial:
    with transaction(engine) as connection:
        study = _lock(connection, study_id)
        if study.state == "finished":
            raise Conflict("the study is finished", remedy="Set its state to running first.")
        if parameters is None:
            made = sampling.create(connection, study, 1, ready)
        elif studies.counters(connection, study_id).next_number < study.budget:
            made = sampling.add(connection, study, [study.space.check(parameters)])
        else:
            made = []
        if not made:
            raise Conflict(
                f"the budget of {study.budget} trials is used up", remedy="Raise the study's budget."
            )
        audit.write(connection, actor=actor, action="trial.enqueue", target=f"trial:{made[0].id}")
        studies.bump(connection, study_id)
    return made[0]


def _take(
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


def _held_again(connection: Connection, worker_id: int, holder: str) -> Claim | None:
    """What this key was given before, where the answer may have been lost.

    With a whole lease from now on: the worker reckons its fence from this request, not from the lost one.
    """
    held = trials.held_under(connection, worker_id, holder)
    if held is not None:
        held = trials.beat(connection, held.id, held.epoch, lease_seconds=settings().lease_seconds)
    if held is None:
        return None
    study = _lock(connection, held.study_id)
    (claim,) = _claims(connection, study, [(held, checkpoints.last(connection, held))])
    return claim


def _give(connection: Connection, trial: Trial, host: str) -> Claim:
    study = _lock(connection, trial.study_id)
    _refuse(connection, study)
    (claim,) = _hold(connection, study, [trial], host)
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


def _hold(connection: Connection, study: Study, taken: Sequence[Trial], host: str) -> list[Claim]:
    """Opens the attempts of trials that were just taken, each from its last registered checkpoint."""
    begun = [scheduling.resume(connection, study, trial) if trial.turn else trial for trial in taken]
    resumes = [checkpoints.last(connection, trial) if trial.epoch > 1 else None for trial in begun]
    copies = study.scheduling().copies
    attempts.add(connection, list(zip(begun, resumes, strict=True)), host=host, parameters=copies)
    for place, trial in enumerate(begun):
        if trial.epoch > 1:
            metrics.recompute_objective(connection, trial.id)
            begun[place] = trials.get(connection, trial.id) or trial
    return _claims(connection, study, list(zip(begun, resumes, strict=True)))


def _claims(
    connection: Connection, study: Study, held: Sequence[tuple[Trial, Checkpoint | None]]
) -> list[Claim]:
    """Each with a new token."""
    if not held:
        return []
    project = projects.get(connection, study.project_id)
    assert project is not None
    template = None if study.job_template_id is None else templates.get(connection, study.job_template_id)
    limits = settings()
    tokens = access.mint_trial_tokens(connection, [(trial.id, trial.epoch) for trial, _ in held])
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
            project_id=project.id,
            project_name=project.name,
        )
        for (trial, resume), token in zip(held, tokens, strict=True)
    ]


def _lock(connection: Connection, study_id: int) -> Study:
    study = studies.lock(connection, study_id)
    if study is None:
        raise NotFound(f"there is no study {study_id}")
    return study

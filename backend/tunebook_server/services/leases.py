"""Leases that ran out, and hints that went astray: what no traffic needs to set right."""

from collections.abc import Sequence

from tunebook_server.domain import lifecycle
from tunebook_server.domain.lifecycle import Fate, Outcome, Swept
from tunebook_server.domain.trial import Trial, TrialState
from tunebook_server.settings import settings
from tunebook_server.storage import attempts, audit, clock, studies, trials
from tunebook_server.storage.engine import Connection, Engine, transaction

BATCH = 256
LOST = "lost: its lease ran out"


def welcome_back(engine: Engine) -> int:
    """After a time in which no sweep passed, gives every loop a whole lease; how many loops there were.

    Nobody could beat then. A loop trains on without the server, and what it recorded is still to come; a
    worker has ended its job by itself. Half a lease: what a shorter absence leaves is long enough to beat.
    """
    seconds = settings().lease_seconds
    with transaction(engine) as connection:
        if clock.swept(connection) <= seconds / 2:
            return 0
        return trials.renew_loops(connection, lease_seconds=seconds)


def sweep(engine: Engine) -> Swept:
    """Takes trials from workers that fell silent, with audit row and hint in the same transaction.

    Any replica may sweep at any time: a trial that another sweep holds is left to it.
    """
    with transaction(engine) as connection:
        ended = [_expire(connection, trial) for trial in trials.expired(connection, BATCH)]
        requeued = [trial.id for trial in ended if trial.state is TrialState.QUEUED]
        trials.stamp(connection, requeued)
        for study_id in sorted({trial.study_id for trial in ended}):
            studies.bump_best(connection, study_id)
    return Swept(
        requeued=tuple(requeued),
        failed=tuple(trial.id for trial in ended if trial.state is TrialState.FAILED),
        stopped=tuple(trial.id for trial in ended if trial.state is TrialState.STOPPED),
        hints=requeued,
        epochs={trial.id: trial.epoch for trial in ended},
    )


def hints_due(engine: Engine) -> list[int]:
    """Stamps and returns queued trials that could be claimed and had no hint for a while: 256 at most."""
    with transaction(engine) as connection:
        again = settings().hint_again_seconds
        return trials.stamp_hints(connection, study_id=None, again_seconds=again, limit=BATCH)


def by_queue(engine: Engine, *, trial_ids: Sequence[int]) -> dict[str, list[int]]:
    """The trials by the queue of their jobs' needs."""
    with transaction(engine) as connection:
        found = trials.queues(connection, trial_ids)
    return {queue: [trial for trial in trial_ids if found.get(trial) == queue] for queue in {*found.values()}}


def _expire(connection: Connection, trial: Trial) -> Trial:
    earlier = attempts.fates(connection, trial.id)
    fate = Fate(Outcome.LOST, worker=attempts.worker_name(connection, trial))
    ending = lifecycle.end(
        trial,
        Outcome.LOST,
        LOST,
        max_attempts=studies.max_attempts(connection, trial.study_id),
        fates=[*earlier, fate],
    )
    if ending.state is TrialState.QUEUED and studies.is_finished(connection, trial.study_id):
        ending = ending.without_a_queue()
    attempts.end(connection, trial.id, trial.epoch, ending, reason=LOST)
    detail = {"epoch": trial.epoch, "state": ending.state.value, "poisoned": ending.poisoned}
    audit.write(connection, actor="system", action="trial.lost", target=f"trial:{trial.id}", detail=detail)
    return trials.end(connection, trial, ending)

"""A worker's beat renews the leases of those trials whose jobs wait in a cluster's queue."""

import pytest
from sqlalchemy import Engine, text

from tests.services.making import make_study, make_worker
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.services import leases, sampling, trials, workers
from tunebook_server.storage.engine import transaction

ACTOR = "user:tester"


def claims(engine: Engine, worker_id: int, count: int) -> list[Claim]:
    study = make_study(engine, parallel=count)
    sampling.fill(engine, study_id=study.id)
    queued = trials.page(engine, study_id=study.id, states=["queued"], sort="number", limit=count)
    return [
        trials.claim(engine, trial_id=item.trial.id, worker_id=worker_id, host="login")
        for item in queued.items
    ]


def run_out(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(
            text(
                "UPDATE trials SET lease_expires_at = now() - interval '1 s'"
                " WHERE lease_expires_at IS NOT NULL"
            )
        )


def test_waiting_trials_keep_their_leases_and_others_do_not(engine: Engine) -> None:
    worker = make_worker(engine)
    waiting, silent = claims(engine, worker, 2)
    run_out(engine)
    pair = (waiting.trial.id, waiting.trial.epoch)
    orders = workers.beat(
        engine, worker_id=worker, running=[waiting.trial.id, silent.trial.id], waiting=[pair]
    )
    assert orders.stop == ()
    assert leases.sweep(engine).requeued == (silent.trial.id,)
    assert trials.attempts(engine, trial_id=waiting.trial.id)[0].last_beat_at is not None


@pytest.mark.parametrize("how", ["another's", "an old epoch", "cancelled", "ended"])
def test_a_waiting_trial_that_is_not_to_be_run_is_named(engine: Engine, how: str) -> None:
    worker = make_worker(engine)
    (claim,) = claims(engine, worker, 1)
    trial, epoch, beating = claim.trial.id, claim.trial.epoch, worker
    if how == "another's":
        beating = make_worker(engine)
    elif how == "an old epoch":
        trials.release(engine, trial_id=trial, epoch=epoch)
        trials.claim(engine, trial_id=trial, worker_id=worker, host="login")
    elif how == "cancelled":
        trials.cancel(engine, trial_id=trial, actor=ACTOR)
    else:
        trials.finish(engine, trial_id=trial, epoch=epoch, state="stopped")
    orders = workers.beat(engine, worker_id=beating, running=[trial], waiting=[(trial, epoch)])
    assert orders.stop == (trial,)


def test_too_many_are_refused_by_name(engine: Engine) -> None:
    with pytest.raises(Invalid) as refused:
        workers.beat(engine, worker_id=make_worker(engine), waiting=[(1, 1)] * 10_001)
    assert refused.value.field == "waiting"

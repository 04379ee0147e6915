"""The sweep and the wake: what they do, once, twice, side by side, and when a part of them fails."""

import pytest
from sqlalchemy import Engine, text

from tests.jobs.conftest import sent
from tests.live import until
from tests.services.making import make_study, make_worker
from tunebook_server.domain.trial import TrialState
from tunebook_server.jobs.sweep import Sweep
from tunebook_server.jobs.wake import wake
from tunebook_server.services import asks, claims, cleaning, sampling, trials
from tunebook_server.storage.locks import SWEEP_LOCK, try_lock

pytestmark = pytest.mark.usefixtures("publisher")


@pytest.fixture
def sweep(engine: Engine) -> Sweep:
    return Sweep(engine, seconds=1.0)


def test_a_wake_samples_and_hints_and_a_second_one_changes_nothing(engine: Engine) -> None:
    study = make_study(engine, budget=3)
    wake(engine, study.id)
    hinted = sent(engine, "trials")
    assert len(hinted) == 3
    wake(engine, study.id)
    assert sent(engine, "trials") == hinted


def test_without_any_wake_the_sweep_does_the_same(engine: Engine, sweep: Sweep) -> None:
    make_study(engine, budget=3)
    sweep.pass_once()
    assert len(sent(engine, "trials")) == 3
    assert sweep.failures == 0


def test_an_expired_lease_is_queued_again_and_hinted(engine: Engine, sweep: Sweep) -> None:
    trial_id = claimed_trial(engine)
    expire_leases(engine)
    sweep.pass_once()
    trial = trials.get(engine, trial_id=trial_id)
    assert (trial.state, trial.epoch) == (TrialState.QUEUED, 1)
    assert sent(engine, "trials").count(trial_id) == 1


@pytest.mark.parametrize("away", ["1 hour", "1 s"])
def test_after_an_absence_loops_have_a_whole_lease_to_come_back(
    engine: Engine, sweep: Sweep, away: str
) -> None:
    """In which no server was there to beat to; a worker's job has ended itself meanwhile."""
    study = make_study(engine, launched=False)
    (loop,) = asks.ask(engine, study_id=study.id, client_id="loop", actor="user:a")
    launched = claimed_trial(engine)
    expire_leases(engine)
    execute(engine, f"UPDATE server SET swept_at = now() - interval '{away}'")
    sweep.pass_once()
    assert trials.get(engine, trial_id=launched).state is TrialState.QUEUED
    held = trials.get(engine, trial_id=loop.trial.id).state
    assert held is (TrialState.RUNNING if away == "1 hour" else TrialState.QUEUED)
    expire_leases(engine)
    sweep.pass_once()
    assert trials.get(engine, trial_id=loop.trial.id).state is TrialState.QUEUED


def test_a_lost_hint_is_sent_again(engine: Engine, sweep: Sweep) -> None:
    make_study(engine, budget=1)
    sweep.pass_once()
    (trial_id,) = sent(engine, "trials")
    execute(engine, "DELETE FROM broker_messages")
    sweep.pass_once()
    assert sent(engine, "trials") == []  # not yet due
    execute(engine, "UPDATE trials SET hinted_at = hinted_at - interval '1 hour'")
    sweep.pass_once()
    assert sent(engine, "trials") == [trial_id]


def test_only_one_process_sweeps_at_a_time(engine: Engine, sweep: Sweep) -> None:
    make_study(engine, budget=1)
    with try_lock(engine, SWEEP_LOCK) as held:
        assert held
        sweep.pass_once()
        assert sent(engine, "trials") == []
    sweep.pass_once()
    assert len(sent(engine, "trials")) == 1


def test_a_step_that_fails_keeps_no_other_from_running(engine: Engine, sweep: Sweep) -> None:
    trial_id = claimed_trial(engine)
    expire_leases(engine)
    execute(engine, "ALTER TABLE curves RENAME TO curves_gone")
    sweep.pass_once()
    assert sweep.failures >= 1
    assert trials.get(engine, trial_id=trial_id).state is TrialState.QUEUED
    with try_lock(engine, SWEEP_LOCK) as held:
        assert held


def test_the_thread_sweeps_until_it_is_stopped(engine: Engine) -> None:
    make_study(engine, budget=2)
    sweep = Sweep(engine, seconds=0.01)
    sweep.start()
    until(lambda: len(sent(engine, "trials")) == 2, "both trials are hinted")
    sweep.stop()
    assert not sweep.is_alive()


def test_old_rows_go_and_young_ones_stay(engine: Engine) -> None:
    for age in ("1 hour", "3 days"):
        execute(
            engine,
            "INSERT INTO idempotency_keys (actor, key, request_hash, created_at)"
            f" VALUES ('user:a', '{age}', '', now() - interval '{age}')",
        )
        execute(
            engine, f"INSERT INTO login_attempts (address, at) VALUES ('{age}', now() - interval '{age}')"
        )
    trial_id = claimed_trial(engine)
    assert cleaning.clean(engine)["idempotency_keys"] == 1
    assert scalars(engine, "SELECT key FROM idempotency_keys") == ["1 hour"]
    assert scalars(engine, "SELECT address FROM login_attempts") == ["1 hour"]
    execute(engine, "UPDATE tokens SET created_at = now() - interval '9 days'")
    assert cleaning.clean(engine)["tokens"] == 0  # its trial still runs
    trials.finish(engine, trial_id=trial_id, epoch=1, state=TrialState.STOPPED)
    execute(engine, "UPDATE trials SET finished_at = now() - interval '3 days' WHERE finished_at IS NOT NULL")
    assert cleaning.clean(engine)["tokens"] == 1


def claimed_trial(engine: Engine) -> int:
    study = make_study(engine, budget=1)
    (trial_id,) = sampling.fill(engine, study_id=study.id)
    claims.claim(engine, trial_id=trial_id, worker_id=make_worker(engine))
    return trial_id


def expire_leases(engine: Engine) -> None:
    execute(
        engine,
        "UPDATE trials SET lease_expires_at = now() - interval '1 s' WHERE lease_expires_at IS NOT NULL",
    )


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def scalars(engine: Engine, query: str) -> list[object]:
    with engine.connect() as connection:
        return list(connection.scalars(text(query)))

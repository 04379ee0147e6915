"""Sampling ahead, and hints: what budget, sampler and free places allow; no history makes it dearer."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.services.making import ACTOR, SPACE, make_study, make_worker
from tunebook_server.domain.samplers import sampler
from tunebook_server.services import checkpoints, leases, sampling, studies, trials
from tunebook_server.services.asks import ASK_MOST
from tunebook_server.storage.engine import connect, transaction

HISTORY, HELD = 20_000, 2_048


def test_trials_are_the_samplers_sequence(engine: Engine) -> None:
    study = make_study(engine, seed=5)
    sampling.fill(engine, study_id=study.id)
    rows = trials.page(engine, study_id=study.id, sort="number").items
    wanted = sampler("halton", {}).suggest(SPACE, seed=5, index=0, count=20)
    assert [row.trial.parameters for row in rows] == wanted
    assert [row.trial.sample_index for row in rows] == list(range(20))
    assert len({row.trial.seed for row in rows}) == 20


def test_manual_trials_take_no_place_of_the_sequence(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    first = trials.enqueue(engine, study_id=study.id, actor=ACTOR)
    trials.enqueue(engine, study_id=study.id, parameters=first.parameters, actor=ACTOR)
    third = trials.enqueue(engine, study_id=study.id, actor=ACTOR)
    assert (third.number, third.sample_index) == (2, 1)


def test_a_study_ends_when_its_budget_is_used_and_all_have_ended(engine: Engine) -> None:
    study = make_study(engine, budget=2, parallel=1)
    worker_id = make_worker(engine)
    for _ in range(2):
        (trial_id,) = sampling.fill(engine, study_id=study.id)
        trials.claim(engine, trial_id=trial_id, worker_id=worker_id)
        assert sampling.fill(engine, study_id=study.id) == []
        assert studies.get(engine, study_id=study.id).state == "running"
        trials.finish(engine, trial_id=trial_id, epoch=1, state="stopped")
    assert sampling.fill_all(engine) == []
    done = studies.get(engine, study_id=study.id)
    assert (done.state, done.finished_at is not None) == ("finished", True)


def test_a_finite_sampler_ends_before_its_budget(engine: Engine) -> None:
    options = {"configurations": [{"optimizer": "adam", "learning_rate": 0.1, "batch_size": 64}]}
    study = make_study(engine, sampler="manual", sampler_options=options, budget=5)
    (trial_id,) = sampling.fill(engine, study_id=study.id)
    trials.cancel(engine, trial_id=trial_id, actor=ACTOR)
    sampling.fill(engine, study_id=study.id)
    assert studies.get(engine, study_id=study.id).state == "finished"


def test_a_loops_study_is_finished_but_never_filled(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=1)
    assert sampling.fill_all(engine) == []
    (claim,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    trials.finish(engine, trial_id=claim.trial.id, epoch=1, state="stopped")
    assert sampling.fill_all(engine) == []
    assert studies.get(engine, study_id=study.id).state == "finished"


def test_hints_go_to_as_many_trials_as_there_are_places(engine: Engine) -> None:
    study = make_study(engine, parallel=2)
    first, second = sampling.fill(engine, study_id=study.id)
    assert sampling.fill(engine, study_id=study.id) == []
    assert leases.hints_due(engine) == []
    trials.claim(engine, trial_id=first, worker_id=make_worker(engine))
    assert sampling.fill(engine, study_id=study.id) == []
    trials.finish(engine, trial_id=first, epoch=1, state="stopped")
    (third,) = sampling.fill(engine, study_id=study.id)
    assert third == second + 1


def test_a_refused_hint_is_sent_again_when_a_place_is_free(engine: Engine) -> None:
    study = make_study(engine, parallel=1)
    worker_id = make_worker(engine)
    (first,) = sampling.fill(engine, study_id=study.id)
    trials.claim(engine, trial_id=first, worker_id=worker_id)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE trials SET hinted_at = now() WHERE id = :id"), {"id": first + 1})
    with pytest.raises(Exception, match="1 trials at a time"):
        trials.claim(engine, trial_id=first + 1, worker_id=worker_id)
    trials.finish(engine, trial_id=first, epoch=1, state="stopped")
    assert sampling.fill(engine, study_id=study.id) == [first + 1]


def test_old_hints_are_sent_again(engine: Engine) -> None:
    study = make_study(engine, parallel=3)
    hinted = sampling.fill(engine, study_id=study.id)
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE trials SET hinted_at = now() - interval '1 h' WHERE hinted_at IS NOT NULL")
        )
    assert leases.hints_due(engine) == hinted
    assert leases.hints_due(engine) == []


@pytest.fixture
def single(database_url: str) -> Iterator[Engine]:
    """One connection, so that Postgres' own counters can be read right after a call."""
    engine = connect(database_url, pool_size=1)
    yield engine
    engine.dispose()


def rows_read(engine: Engine, call: Callable[[], Any]) -> int:
    """Rows of `trials` that Postgres fetched for this call."""
    before = _fetched(engine)
    call()
    return _fetched(engine) - before


def _fetched(engine: Engine) -> int:
    with transaction(engine) as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    with transaction(engine) as connection:
        fetched = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'trials'"
        return int(connection.execute(text(fetched)).scalar_one())


def test_no_call_reads_the_history(single: Engine) -> None:
    """Twenty thousand finished trials, and every step of a life touches a few dozen rows."""
    study = make_study(single, budget=HISTORY + 1_000, parallel=4)
    _add_history(single, study.id)
    worker_id = make_worker(single)
    hints: list[int] = []
    cost = {"fill": rows_read(single, lambda: hints.extend(sampling.fill(single, study_id=study.id)))}
    who: dict[str, Any] = {"trial_id": hints[0], "epoch": 1}
    calls: dict[str, Callable[[], Any]] = {
        "claim": lambda: trials.claim(single, trial_id=hints[0], worker_id=worker_id),
        "start": lambda: trials.start(single, **who),
        "beat": lambda: trials.heartbeat(single, **who),
        "checkpoint": lambda: checkpoints.register(single, **who, step=1, uri="/c/1/a"),
        "finish": lambda: trials.finish(single, **who, state="stopped"),
        "ask": lambda: trials.ask(single, study_id=study.id, client_id="loop", actor=ACTOR),
        "fill all": lambda: sampling.fill_all(single),
        "sweep": lambda: leases.sweep(single),
        "hints": lambda: leases.hints_due(single),
        "progress": lambda: studies.progress(single, study_id=study.id),
        "first page": lambda: trials.page(single, study_id=study.id, sort="objective", limit=10),
        "newest page": lambda: trials.page(single, study_id=study.id, sort="-number", limit=10),
    }
    cost |= {name: rows_read(single, call) for name, call in calls.items()}
    assert {name: rows for name, rows in cost.items() if rows > 200} == {}


def test_an_ask_does_not_read_what_other_loops_hold(single: Engine) -> None:
    """As they come: nobody has told Postgres yet how the table has grown."""
    study = make_study(single, launched=False, budget=HISTORY)
    for name in range(HELD // ASK_MOST):
        trials.ask(single, study_id=study.id, client_id=f"loop {name}", count=ASK_MOST, actor=ACTOR)
    ask = partial(trials.ask, single, study_id=study.id, client_id="one more", actor=ACTOR)
    assert rows_read(single, ask) < 50
    assert rows_read(single, ask) < 50  # which it holds by now


def test_reading_everything_would_be_seen(single: Engine) -> None:
    """The control: a call that does read the history."""
    study = make_study(single, budget=HISTORY + 1_000)
    _add_history(single, study.id)
    assert rows_read(single, lambda: trials.page(single, study_id=study.id, expression="note = x")) >= HISTORY


def _add_history(engine: Engine, study_id: int) -> None:
    with transaction(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO trials (study_id, number, space_version, state, parameters, seed, objective,"
                " finished_at, epoch) SELECT :study, n, 1, 'completed', '{}', 0, random(), now(), 1"
                " FROM generate_series(0, :last) n"
            ),
            {"study": study_id, "last": HISTORY - 1},
        )
        connection.execute(
            text("UPDATE studies SET next_number = :n, next_sample_index = :n WHERE id = :study"),
            {"study": study_id, "n": HISTORY},
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE trials"))

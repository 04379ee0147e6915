"""Many at once, on real threads and a real Postgres: all stays consistent, and nobody deadlocks."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from psycopg.errors import DeadlockDetected
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from tests.live import until
from tests.services.making import ACTOR, make_study, make_worker
from tests.services.mutants import COLLISIONS, NEWEST_NUMBER_PLUS_ONE
from tunebook_server.domain.errors import Conflict, Gone
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.study import Study
from tunebook_server.services import leases, metrics, sampling, studies, trials
from tunebook_server.services.asks import Ask, ask_at_once
from tunebook_server.services.suggesting import Wanted
from tunebook_server.storage import studies as study_rows
from tunebook_server.storage import trials as trial_rows
from tunebook_server.storage.arrays import Texts
from tunebook_server.storage.engine import connect, straight, transaction

CLIENTS, CALLS = 8, 50


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each call returned or raised, all started together."""

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


def numbers(engine: Engine, study: Study) -> list[int]:
    with transaction(engine) as connection:
        found = connection.execute(
            text("SELECT number FROM trials WHERE study_id = :id ORDER BY 1"), {"id": study.id}
        )
        return list(found.scalars())


def ask_and_enqueue(engine: Engine, study: Study) -> list[Any]:
    """Eight servers, fifty calls each: half of them enqueue, half are asks of two loops at once."""

    def server(name: int) -> None:
        for turn in range(CALLS):
            if turn % 2:
                trials.enqueue(engine, study_id=study.id, actor=ACTOR)
            else:
                loops = [Ask(f"{name}/{turn}/{loop}", 1, "", ACTOR) for loop in "ab"]
                found = ask_at_once(engine, study.id, loops)
                assert not any(isinstance(claims, Wanted) or len(claims) != 1 for claims in found)

    return at_once([partial(server, name) for name in range(CLIENTS)])


def test_numbers_have_neither_gaps_nor_doubles(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=2 * CLIENTS * CALLS)
    outcomes = ask_and_enqueue(engine, study)
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    found = numbers(engine, study)
    assert found == list(range(len(found)))
    # Each enqueue made one; an ask takes a queued one first.
    assert CLIENTS * CALLS <= len(found) <= 3 * CLIENTS * CALLS // 2
    asked = Counter(
        trial.client_id for row in _rows(engine, study) if (trial := row.trial).client_id is not None
    )
    assert len(asked) == CLIENTS * CALLS
    assert set(asked.values()) == {1}


def test_max_plus_one_would_not_do(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the counter row the same clients collide."""
    monkeypatch.setattr(study_rows, "_GET_LOCKED", NEWEST_NUMBER_PLUS_ONE)
    study = make_study(engine, launched=False, budget=2 * CLIENTS * CALLS)
    outcomes = ask_and_enqueue(engine, study)
    assert any(isinstance(outcome, COLLISIONS) for outcome in outcomes)


def test_one_client_asking_from_many_threads_holds_one_trial(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    asked = at_once(
        [lambda: trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR) for _ in range(CLIENTS)]
    )
    assert {claim.trial.id for claims in asked for claim in claims} == {asked[0][0].trial.id}
    assert len({claims[0].token for claims in asked}) == CLIENTS


def test_of_many_claims_one_wins(engine: Engine) -> None:
    study = make_study(engine)
    worker_id = make_worker(engine)
    for trial_id in sampling.fill(engine, study_id=study.id):
        claim = partial(trials.claim, engine, trial_id=trial_id, worker_id=worker_id)
        outcomes = at_once([claim] * CLIENTS)
        assert [type(outcome) for outcome in outcomes].count(Claim) == 1
        assert [type(outcome) for outcome in outcomes].count(Conflict) == CLIENTS - 1
        assert len(trials.attempts(engine, trial_id=trial_id)) == 1


def test_claims_at_once_respect_parallel(engine: Engine) -> None:
    study = make_study(engine, parallel=3)
    worker_id = make_worker(engine)
    sampling.fill(engine, study_id=study.id)
    queued = [row.trial.id for row in _rows(engine, study)][:CLIENTS]
    claims = [partial(trials.claim, engine, trial_id=at, worker_id=worker_id) for at in queued]
    outcomes = at_once(claims)
    assert [type(outcome) for outcome in outcomes].count(Claim) == 3


def test_many_sweeps_at_once_lose_each_trial_once(engine: Engine) -> None:
    study = make_study(engine, budget=40, parallel=40)
    worker_id = make_worker(engine)
    claimed = [
        trials.claim(engine, trial_id=trial_id, worker_id=worker_id).trial.id
        for trial_id in sampling.fill(engine, study_id=study.id)
    ]
    _expire(engine)
    swept = at_once([lambda: leases.sweep(engine) for _ in range(CLIENTS)])
    requeued = [trial_id for each in swept for trial_id in each.requeued]
    assert sorted(requeued) == sorted(claimed)
    with transaction(engine) as connection:
        audited = connection.execute(text("SELECT count(*) FROM audit WHERE action = 'trial.lost'")).scalar()
    assert audited == len(claimed)


def test_fills_at_once_keep_the_budget(engine: Engine) -> None:
    study = make_study(engine, budget=30, parallel=10)
    at_once([lambda: sampling.fill(engine, study_id=study.id) for _ in range(CLIENTS)])
    found = numbers(engine, study)
    assert found == list(range(26))  # 10 at a time, 16 ahead


def hammer(engine: Engine, study: Study, worker_id: int, calls: int) -> list[Any]:
    """Eight threads that do everything at once to one study."""
    threads = [partial(_do_everything, engine, study, worker_id, thread, calls) for thread in range(CLIENTS)]
    return at_once(threads)


def _do_everything(engine: Engine, study: Study, worker_id: int, thread: int, calls: int) -> int:
    chance = random.Random(thread)
    done = 0
    while done < calls:
        sampling.fill(engine, study_id=study.id)
        for trial_id in _some_queued(engine, study, chance):
            try:
                done += _live(engine, trial_id, worker_id, chance)
            except (Conflict, Gone):
                done += 1
        leases.sweep(engine)
        leases.hints_due(engine)
    return done


def _live(engine: Engine, trial_id: int, worker_id: int, chance: random.Random) -> int:
    claim = trials.claim(engine, trial_id=trial_id, worker_id=worker_id)
    who: dict[str, Any] = {"trial_id": trial_id, "epoch": claim.trial.epoch}
    trials.start(engine, **who)
    points = (np.array([1]), np.array([chance.random()]))
    metrics.report(engine, **who, sequence=0, series={"valid/error": points}, content_hash=b"1")
    ending = chance.randrange(6)
    if ending == 0:
        trials.cancel(engine, trial_id=trial_id, actor=ACTOR)
    if ending == 1:
        _expire(engine, trial_id)
    elif ending == 2:
        trials.release(engine, **who)
    else:
        trials.heartbeat(engine, **who)
        trials.finish(engine, **who, state="failed" if ending == 3 else "completed")
    return 6


def test_nobody_deadlocks(engine: Engine) -> None:
    study = make_study(engine, budget=100_000, parallel=1_000, max_attempts=100)
    outcomes = hammer(engine, study, make_worker(engine), calls=200)
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    _check_books(engine, study)


@pytest.fixture
def quick_deadlocks(engine: Engine, database_url: str) -> Iterator[Engine]:
    """Postgres looks for a deadlock after a second of waiting; here sooner."""
    with transaction(engine) as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'"))
    engine = connect(database_url)
    yield engine
    engine.dispose()


def test_counts_without_their_study_would_deadlock(quick_deadlocks: Engine) -> None:
    """The control: the trigger without its lock on the study's row."""
    with transaction(quick_deadlocks) as connection:
        body = connection.execute(
            text("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'count_trials'")
        )
        definition = body.scalar_one()
        mutant, removed = re.subn("PERFORM FROM studies .*;", "", definition)
        assert removed == 1
        connection.exec_driver_sql(mutant.replace("%", "%%"))
    study = make_study(quick_deadlocks, budget=100_000, parallel=1_000, max_attempts=100)
    worker_id = make_worker(quick_deadlocks)
    outcomes = hammer(quick_deadlocks, study, worker_id, calls=400)
    assert any(isinstance(outcome, OperationalError) for outcome in outcomes)


def test_servers_that_ask_for_the_same_clients_do_not_deadlock(quick_deadlocks: Engine) -> None:
    assert in_two_orders(quick_deadlocks, trial_rows.serialise_clients) == [None, None]


def test_clients_in_the_order_of_their_asks_would_deadlock(quick_deadlocks: Engine) -> None:
    """The control: the same locks, unsorted."""

    def unsorted(connection: Connection, study_id: int, client_ids: Sequence[str]) -> None:
        keys = Texts([f"ask/{study_id}/{client_id}" for client_id in client_ids])
        straight(connection, trial_rows._SERIALISE, {"keys": keys})

    outcomes = in_two_orders(quick_deadlocks, unsorted)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [DeadlockDetected]


def in_two_orders(engine: Engine, serialise: Callable[[Connection, int, Sequence[str]], None]) -> list[Any]:
    """Two transactions that lock three clients, each from its end, and meet at the middle one."""

    def take(names: Sequence[str]) -> None:
        with transaction(engine) as connection:
            serialise(connection, 1, names)

    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as holder:
            trial_rows.serialise_clients(holder, 1, ["z-middle"])
            both = pool.submit(
                at_once, [partial(take, ["a", "z-middle", "b"]), partial(take, ["b", "z-middle", "a"])]
            )
            until(lambda: _waiting(engine) == 2, "both wait")
        return both.result()


def _waiting(engine: Engine) -> int:
    """For an advisory lock."""
    with transaction(engine) as connection:
        here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        waits = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND {here}"
        found = connection.execute(text(waits))
        return int(found.scalar_one())


def _check_books(engine: Engine, study: Study) -> None:
    """What is kept on write equals what the rows say."""
    with transaction(engine) as connection:
        states = Counter(
            connection.execute(
                text("SELECT state FROM trials WHERE study_id = :id"), {"id": study.id}
            ).scalars()
        )
        best = connection.execute(
            text(
                "SELECT id FROM trials WHERE study_id = :id AND objective IS NOT NULL"
                " AND state NOT IN ('failed', 'infeasible') ORDER BY objective, number LIMIT 1"
            ),
            {"id": study.id},
        ).scalar()
        charged = connection.execute(
            text(
                "SELECT count(*) FROM trials t WHERE attempts <>"
                " (SELECT count(*) FROM attempts a WHERE a.trial_id = t.id AND a.charged)"
            )
        ).scalar()
    now = studies.get(engine, study_id=study.id)
    assert {state: count for state, count in now.counts.items() if count} == states
    assert now.best_trial_id == best
    assert charged == 0
    found = numbers(engine, study)
    assert found == list(range(len(found)))


def _rows(engine: Engine, study: Study) -> list[Any]:
    rows: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = trials.page(engine, study_id=study.id, sort="number", limit=1000, cursor=cursor or None)
        rows, cursor = rows + list(page.items), page.next
    return rows


def _some_queued(engine: Engine, study: Study, chance: random.Random) -> list[int]:
    page = trials.page(engine, study_id=study.id, states=["queued"], limit=20)
    found = [row.trial.id for row in page.items]
    return chance.sample(found, min(3, len(found)))


def _expire(engine: Engine, trial_id: int | None = None) -> None:
    which = "" if trial_id is None else f" AND id = {trial_id}"
    with transaction(engine) as connection:
        connection.execute(
            text(
                "UPDATE trials SET lease_expires_at = now() - interval '1 s'"
                f" WHERE state IN ('claimed', 'running'){which}"
            )
        )

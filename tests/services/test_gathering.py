"""Questions that come while one is answered are answered together, and each gets its own answer."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Engine, text

from tests.live import until
from tests.services.making import ACTOR, make_study
from tunebook_server.domain.errors import Conflict
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.services import asks, studies, trials
from tunebook_server.services.gathering import Gathering
from tunebook_server.storage.engine import transaction

MOST = 4


class Counter:
    """Answers with twice the number, after the gate has opened; a negative number fails its whole answer, and
    so does 13, which is nobody's fault."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen: list[list[int]] = []
        self.gathering = Gathering(
            self.answer, apart=lambda one, other: one == other, faults=ValueError, most=MOST
        )

    def answer(self, key: str, asked: Sequence[int]) -> list[int]:
        self.seen.append(list(asked))
        assert self.gate.wait(60)
        if min(asked) < 0:
            raise ValueError(f"{key}: {min(asked)}")
        if 13 in asked:
            raise OSError("away")
        return [2 * number for number in asked]

    def ask(self, pool: ThreadPoolExecutor, numbers: Sequence[int]) -> "list[Future[int]]":
        """One after another; all but the first wait for it."""
        made = []
        for number in numbers:
            made.append(pool.submit(self.gathering.ask, "key", number))
            until(lambda: self.seen and self.waiting() == len(made) - 1, f"{number} waits")
        return made

    def waiting(self) -> int:
        return sum(len(others) for others in self.gathering._waiting.values())


def test_those_who_wait_are_answered_at_once() -> None:
    counter = Counter()
    with ThreadPoolExecutor(16) as pool:
        made = counter.ask(pool, range(8))
        counter.gate.set()
        assert [each.result() for each in made] == [2 * number for number in range(8)]
    assert counter.seen == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_two_that_must_be_apart_are_never_answered_at_once() -> None:
    counter = Counter()
    with ThreadPoolExecutor(16) as pool:
        made = counter.ask(pool, [0, 1, 1, 2, 1])
        counter.gate.set()
        assert [each.result() for each in made] == [0, 2, 2, 4, 2]
    assert counter.seen == [[0], [1, 2], [1], [1]]


def test_nobody_pays_for_the_fault_of_another() -> None:
    counter = Counter()
    with ThreadPoolExecutor(16) as pool:
        made = counter.ask(pool, [-1, 3, -2, 4])
        counter.gate.set()
        with pytest.raises(ValueError, match="key: -1"):
            made[0].result()
        with pytest.raises(ValueError, match="key: -2"):
            made[2].result()
        assert [made[place].result() for place in (1, 3)] == [6, 8]
        assert counter.gathering.ask("key", 5) == 10
    assert counter.gathering._waiting == {}


def test_what_is_nobodys_fault_is_everybodys() -> None:
    counter = Counter()
    with ThreadPoolExecutor(16) as pool:
        made = counter.ask(pool, [0, 13, 1])
        counter.gate.set()
        assert made[0].result() == 0
        for each in made[1:]:
            with pytest.raises(OSError, match="away"):
                each.result()
    assert counter.seen == [[0], [13, 1]]


def test_another_key_does_not_wait() -> None:
    counter = Counter()
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(counter.gathering.ask, key, 1) for key in ("one", "other")]
        until(lambda: len(counter.seen) == 2, "both are being answered")
        counter.gate.set()
        assert [each.result() for each in made] == [2, 2]


def asked_while_the_study_is_held(
    engine: Engine, study_id: int, asked: Sequence[tuple[str, int]]
) -> list[list[Claim]]:
    """The first of them waits for the study's row, the others for the first."""
    with ThreadPoolExecutor(len(asked)) as pool:
        with transaction(engine) as connection:
            connection.execute(text("SELECT 1 FROM studies WHERE id = :id FOR UPDATE"), {"id": study_id})
            made = []
            for client, count in asked:
                ask = partial(trials.ask, engine, study_id=study_id, actor=ACTOR)
                call = partial(ask, client_id=client, count=count)
                made.append(pool.submit(call))
                until(lambda: (blocked(engine), queued()) == (1, len(made) - 1), f"{client} waits")
        return [each.result() for each in made]


def blocked(engine: Engine) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = :name"
    with transaction(engine) as connection:
        return int(connection.execute(text(query), {"name": engine.url.database}).scalar_one())


def queued() -> int:
    return sum(len(others) for others in asks._GATHERING._waiting.values())


def test_loops_that_ask_at_once_share_transactions_and_no_trial(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=100)
    clients = [f"loop {number}" for number in range(8)] + ["loop 3"]
    claims = asked_while_the_study_is_held(engine, study.id, [(client, 1) for client in clients])
    assert [len(each) for each in claims] == [1] * 9
    got = {client: each[0].trial for client, each in zip(clients, claims, strict=True)}
    assert [got[client].client_id for client in clients] == clients
    assert sorted({trial.number for trial in got.values()}) == list(range(8))
    assert len({each[0].token for each in claims}) == 9
    # The clock of a transaction stands still: the first was alone, those that came meanwhile went together.
    assert len({trial.created_at for trial in got.values()}) == 2
    with transaction(engine) as connection:
        audits = connection.execute(
            text("SELECT detail ->> 'client' FROM audit WHERE action = 'study.ask' ORDER BY id")
        )
        assert sorted(audits.scalars()) == sorted(clients[:8])


def test_an_ask_for_many_is_answered_on_its_own(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=100)
    asked = [(f"loop {place}", count) for place, count in enumerate([1, 1, asks.SHARED_MOST + 1, 1])]
    claims = asked_while_the_study_is_held(engine, study.id, asked)
    assert [len(each) for each in claims] == [count for _, count in asked]
    numbers = sorted(claim.trial.number for each in claims for claim in each)
    assert numbers == list(range(sum(count for _, count in asked)))
    first, second, many, last = (each[0].trial.created_at for each in claims)
    assert second == last
    assert len({first, second, many}) == 3


def test_a_paused_study_refuses_each_that_holds_nothing(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=100)
    (held,) = trials.ask(engine, study_id=study.id, client_id="holder", actor=ACTOR)
    studies.edit(engine, study_id=study.id, changes={"state": "paused"}, actor=ACTOR)
    with ThreadPoolExecutor(4) as pool:
        calls = {
            client: pool.submit(trials.ask, engine, study_id=study.id, client_id=client, actor=ACTOR)
            for client in ("holder", "a", "b", "c")
        }
        assert [claim.trial.id for claim in calls.pop("holder").result()] == [held.trial.id]
        for each in calls.values():
            with pytest.raises(Conflict, match="paused"):
                each.result()

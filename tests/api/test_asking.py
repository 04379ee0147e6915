"""Loops of one study that ask at once: recognised together, answered in one transaction, each for itself."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy import Engine, text

from tests.live import until
from tests.services.making import ACTOR, make_study
from tunebook_server.api.asking import Asking
from tunebook_server.domain.access import Principal
from tunebook_server.domain.errors import Conflict, Unauthenticated
from tunebook_server.services import access, asks, studies, trials
from tunebook_server.services.access import Credential
from tunebook_server.services.asks import Ask
from tunebook_server.storage.engine import transaction


def asked_while_the_study_is_held(
    engine: Engine, study_id: int, asked: Sequence[tuple[str, int]]
) -> "list[Future[bytes]]":
    """The first of them waits for the study's row, the others for the first."""
    asking = Asking(engine)
    with start_blocking_portal() as loop, transaction(engine) as connection:
        connection.execute(text("SELECT 1 FROM studies WHERE id = :id FOR UPDATE"), {"id": study_id})
        made: list[Future[bytes]] = []
        for client, count in asked:
            made.append(loop.start_task_soon(asking.ask, study_id, ask_of(client, count)))
            until(lambda: (blocked(engine), waiting(asking)) == (1, len(made) - 1), f"{client} waits")
    return made


def claims_of(answer: "Future[bytes]") -> list[dict[str, Any]]:
    return list(json.loads(answer.result())["trials"])


def ask_of(client: str, count: int = 1) -> Ask:
    return Ask.of(client_id=client, count=count, host="", actor=ACTOR)


def blocked(engine: Engine) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = :name"
    with transaction(engine) as connection:
        return int(connection.execute(text(query), {"name": engine.url.database}).scalar_one())


def waiting(asking: Asking) -> int:
    return sum(len(others) for others in asking._asks._waiting.values())


def test_loops_that_ask_at_once_share_transactions_and_no_trial(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=100)
    clients = [f"loop {number}" for number in range(8)] + ["loop 3"]
    asked = asked_while_the_study_is_held(engine, study.id, [(client, 1) for client in clients])
    claims = [claim for each in asked for claim in claims_of(each)]
    assert [claim["trial"]["client_id"] for claim in claims] == clients
    assert sorted({claim["trial"]["number"] for claim in claims}) == list(range(8))
    assert claims[3]["trial"]["id"] == claims[8]["trial"]["id"]
    assert len({claim["token"] for claim in claims}) == 9
    # The clock of a transaction stands still: the first was alone, those that came meanwhile went together.
    assert len({claim["trial"]["created_at"] for claim in claims}) == 2
    with transaction(engine) as connection:
        audits = connection.execute(
            text("SELECT detail ->> 'client' FROM audit WHERE action = 'study.ask' ORDER BY id")
        )
        assert sorted(audits.scalars()) == sorted(clients[:8])


def test_an_ask_for_many_is_answered_on_its_own(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=100)
    wanted = [(f"loop {place}", count) for place, count in enumerate([1, 1, asks.SHARED_MOST + 1, 1])]
    got = [claims_of(each) for each in asked_while_the_study_is_held(engine, study.id, wanted)]
    assert [len(each) for each in got] == [count for _, count in wanted]
    numbers = sorted(claim["trial"]["number"] for each in got for claim in each)
    assert numbers == list(range(sum(count for _, count in wanted)))
    first, second, many, last = (each[0]["trial"]["created_at"] for each in got)
    assert second == last
    assert len({first, second, many}) == 3


def test_a_paused_study_refuses_each_that_holds_nothing(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=100)
    (held,) = trials.ask(engine, study_id=study.id, client_id="holder", actor=ACTOR)
    studies.edit(engine, study_id=study.id, changes={"state": "paused"}, actor=ACTOR)
    clients = [("a", 1), ("b", 1), ("holder", 1), ("c", 1)]
    *refused, holder, last = asked_while_the_study_is_held(engine, study.id, clients)
    assert [claim["trial"]["id"] for claim in claims_of(holder)] == [held.trial.id]
    for each in (*refused, last):
        with pytest.raises(Conflict, match="paused"):
            each.result()


def test_loops_whose_sampler_learns_get_points_of_its_own(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=100, sampler="tpe")
    asked = asked_while_the_study_is_held(engine, study.id, [(f"loop {place}", 1) for place in range(5)])
    drawn = [claim["trial"] for each in asked for claim in claims_of(each)]
    assert {trial["drawn_by"] for trial in drawn} == {"tpe"}
    assert len({json.dumps(trial["parameters"]) for trial in drawn}) == len(drawn) == 5


def test_who_asks_at_once_is_recognised_each_for_itself(engine: Engine) -> None:
    owner = access.create_owner_token(engine, name="loops")
    worker = access.create_worker_token(engine, name="w")
    shown = [Credential(secret, None) for secret in (owner, worker, "nonsense", owner)]
    shown += [Credential(None, "no session"), Credential(owner, "no session")]
    asking = Asking(engine)
    with start_blocking_portal() as loop:
        found = [loop.start_task_soon(asking.recognise, "1", each) for each in shown]
        for credential, each in zip(shown, found, strict=True):
            alone = partial(access.authenticate, engine, bearer=credential.bearer, session=credential.session)
            assert outcome(each.result) == outcome(alone)
    assert [outcome(each.result).__class__ for each in found] == [
        Principal,
        Principal,
        str,
        Principal,
        str,
        str,
    ]


def outcome(call: "Callable[[], Principal]") -> Principal | str:
    try:
        return call()
    except Unauthenticated as error:
        return str(error)

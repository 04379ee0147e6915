"""One request under one key is done once, however often and however unluckily it is sent."""

import asyncio
import os
import random
import threading
from typing import Any

from sqlalchemy import event, text

from tests.api.routes import UNSAFE, mounted
from tests.api.site import DESIGN, Site, World, created, ok, problem

KEY = {"Idempotency-Key": "7f1c"}


def projects(site: Site) -> list[str]:
    return [project["name"] for project in ok(site.get("/api/v1/projects"))["items"]]


def test_the_same_again_is_answered_the_same(site: Site, world: World) -> None:
    first = site.post("/api/v1/projects", {"name": "once"}, headers=KEY)
    for _ in range(3):
        again = site.post("/api/v1/projects", {"name": "once"}, headers=KEY)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers["idempotent-replay"] == "true"
    assert projects(site).count("once") == 1


def test_another_request_under_the_key_is_refused(site: Site, world: World) -> None:
    created(site.post("/api/v1/projects", {"name": "once"}, headers=KEY))
    for method, path, body in (
        ("POST", "/api/v1/projects", {"name": "twice"}),
        ("POST", "/api/v1/projects?x=1", {"name": "once"}),
        ("PATCH", f"/api/v1/projects/{world.project}", {"name": "once"}),
    ):
        assert problem(site.request(method, path, json=body, headers=KEY), 422, "key_reused")["field"]
    assert "twice" not in projects(site)


def test_keys_are_each_persons_own(site: Site, world: World) -> None:
    created(site.post("/api/v1/projects", {"name": "once"}, headers=KEY))
    body = {"epoch": 1, "step": 1, "uri": "/c/1"}
    ok(site.post(f"/api/v1/trials/{world.trial}:checkpoint", body, by="trial", headers=KEY))


def test_a_refusal_is_not_kept(site: Site, world: World) -> None:
    problem(site.post("/api/v1/projects", {"name": ""}, headers=KEY), 422, "invalid")
    problem(site.post(f"/api/v1/trials/{world.queued}:retry", headers=KEY), 409, "conflict")
    created(site.post("/api/v1/projects", {"name": "now"}, headers=KEY))


def test_of_many_at_once_one_works(site: Site, world: World) -> None:
    path = f"/api/v1/projects/{world.project}/studies"
    request = ("POST", path, {"json": {**DESIGN, "name": "race"}, "headers": KEY})
    answers = site.together(*[request] * 12)
    done = [answer for answer in answers if answer.status_code == 201]
    assert done
    assert len({answer.content for answer in done}) == 1
    for answer in answers:
        if answer not in done:
            problem(answer, 409, "in_progress")
    assert len(ok(site.get("/api/v1/studies", params={"name": "race"}))["items"]) == 1


def test_a_key_in_work_is_told_so(site: Site, world: World) -> None:
    entered, leave = threading.Event(), threading.Event()

    @event.listens_for(site.engine, "before_cursor_execute")
    def hold(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("INSERT INTO projects"):
            entered.set()
            assert leave.wait(30)

    async def both() -> tuple[Any, Any]:
        first = asyncio.create_task(site.send("POST", "/api/v1/projects", json={"name": "slow"}, headers=KEY))
        while not entered.is_set():
            await asyncio.sleep(0.005)
        second = await site.send("POST", "/api/v1/projects", json={"name": "slow"}, headers=KEY)
        leave.set()
        return await first, second

    first, second = site.run(both())
    problem(second, 409, "in_progress")
    assert created(first)["name"] == "slow"
    created(site.post("/api/v1/projects", {"name": "slow"}, headers=KEY))


def test_effect_and_answer_are_kept_together_or_not_at_all(site: Site, world: World) -> None:
    """The answer cannot be stored: then the project must not be there either, and the key is free."""
    with site.engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE idempotency_keys ADD CONSTRAINT never CHECK (status < 0) NOT VALID")
        )
    problem(site.post("/api/v1/projects", {"name": "whole"}, headers=KEY), 500)
    assert "whole" not in projects(site)
    with site.engine.begin() as connection:
        connection.execute(text("ALTER TABLE idempotency_keys DROP CONSTRAINT never"))
    created(site.post("/api/v1/projects", {"name": "whole"}, headers=KEY))
    assert projects(site).count("whole") == 1


def test_secrets_are_not_stored_under_keys(site: Site, world: World) -> None:
    for path, body in (
        ("/api/v1/tokens", {"name": "x"}),
        ("/api/v1/worker-tokens", {"name": "x"}),
        (f"/api/v1/studies/{world.study}/trials:ask", {"client_id": "x"}),
    ):
        problem(site.post(path, body, headers=KEY), 422, "key_unsupported")
    held = site.post(f"/api/v1/studies/{world.study}/trials:ask", {"client_id": "loop"})
    assert ok(held)["trials"][0]["trial"]["id"] == world.trial


def test_a_key_is_short_and_printable(site: Site, world: World) -> None:
    for key in ("", "x" * 201, "a\tb", "é"):
        answer = site.post(
            "/api/v1/projects", {"name": "x"}, headers={b"Idempotency-Key": key.encode("latin-1")}
        )
        assert problem(answer, 422)["field"] == "Idempotency-Key"
    for route in mounted(site, world):
        if route.method in UNSAFE and route.is_api and not route.is_open:
            problem(site.request(route.method, route.path, by=None, json={}, headers=KEY), status=None)


def test_keyed_requests_leave_connections_for_others(site: Site, world: World) -> None:
    keyed = [
        ("POST", "/api/v1/projects", {"json": {"name": f"many {n}"}, "headers": {"Idempotency-Key": f"k{n}"}})
        for n in range(60)
    ]
    plain: list[tuple[str, str, dict[str, Any]]] = [("GET", "/api/v1/projects", {})] * 60
    statuses = [answer.status_code for answer in site.together(*keyed, *plain)]
    assert statuses == [201] * 60 + [200] * 60


INTENTS = 1000 if os.environ.get("CI") else 200


def carry_out(site: Site, study: int, *, with_keys: bool) -> int:
    """Queues INTENTS trials over a network that loses, doubles and delays; every intent is sent until it is
    answered. Returns the number of trials there are then."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    path = f"/api/v1/studies/{study}/trials"
    answers: dict[int, set[bytes]] = {}
    waiting = list(range(INTENTS))
    while waiting:
        dice.shuffle(waiting)
        sent, lost = [], []
        for intent in waiting[:24]:
            fate = dice.choices(("well", "not sent", "answer lost", "doubled"), (80, 5, 5, 10))[0]
            headers = {"Idempotency-Key": f"intent {intent}"} if with_keys else {}
            copies = {"not sent": 0, "doubled": 2}.get(fate, 1)
            sent += [(intent, ("POST", path, {"json": {}, "headers": headers}))] * copies
            lost += [intent] if fate in ("not sent", "answer lost") else []
        for (intent, _), answer in zip(sent, site.together(*(request for _, request in sent)), strict=True):
            assert answer.status_code in (201, 409), (seed, answer.text)
            if answer.status_code == 201 and intent not in lost:
                answers.setdefault(intent, set()).add(answer.content)
        waiting = [intent for intent in waiting if intent not in answers]
    if with_keys:
        assert all(len(different) == 1 for different in answers.values()), seed
    with site.engine.connect() as connection:
        count = text("SELECT count(*) FROM trials WHERE study_id = :study")
        return int(connection.execute(count, {"study": study}).scalar_one())


def test_effects_are_intents_over_a_bad_network(site: Site, world: World) -> None:
    path = f"/api/v1/projects/{world.project}/studies"
    design = {**DESIGN, "budget": {"trials": 100_000}, "job": {"template": "train"}}
    keyed, bare = (created(site.post(path, {**design, "name": name}))["id"] for name in ("keyed", "bare"))
    assert carry_out(site, keyed, with_keys=True) == INTENTS
    assert carry_out(site, bare, with_keys=False) > INTENTS, "the harness must catch what keys prevent"

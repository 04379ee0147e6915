"""Who gets in, and where: strangers, people, workers, trials."""

import random
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.api.routes import OPEN, mounted
from tests.api.site import DESIGN, Site, World, created, ok, problem
from tunebook_server.api.access import policies_of
from tunebook_server.api.openapi import api_routes
from tunebook_server.domain.access import SCOPES, TOKEN, new_token, well_formed
from tunebook_server.services import access

TRIAL_ROUTES = {"report", "heartbeat", "start", "finish", "release", "log", "checkpoint"}
WORKER_ROUTES = {
    "/api/v1/workers:register",
    "/api/v1/workers/{worker_id}:beat",
    "/api/v1/workers/{worker_id}:claim",
    "/api/v1/workers/{worker_id}:stopped",
    "/api/v1/workers/{worker_id}:removals",
    "/api/v1/workers/{worker_id}:removed",
    "/api/v1/trials/{trial_id}:claim",
}
BOTH = ("GET", "/api/v1/me")


def test_strangers_reach_nothing_but_the_written_list(site: Site, world: World) -> None:
    walked = set()
    for route in mounted(site, world):
        walked.add((route.method, route.template))
        content: dict[str, Any] = {"json": {}} if route.method not in ("GET", "HEAD", "DELETE") else {}
        answer = site.request(route.method, route.path, by=None, **content)
        if route.is_open:
            assert answer.status_code != 401, route
        elif route.is_api:
            problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
        else:
            assert answer.status_code == 303, (route, answer.status_code)
            assert answer.headers["location"].startswith("/login")
    assert walked >= OPEN
    assert len(walked) > 60


def test_strangers_are_not_told_that_an_address_is_odd(site: Site, world: World) -> None:
    asked = set()
    for route in api_routes(site.app):
        if "{" in route.path_format and all(policy.kinds for policy in policies_of(route.dependant)):
            asked.add(route.operation_id)
            for method in route.methods or ():
                content: dict[str, Any] = {"json": {}} if method not in ("GET", "HEAD", "DELETE") else {}
                path = re.sub(r"\{\w+\}", "odd", route.path_format)
                answer = site.request(method, path, by=None, **content)
                # A report is recognised in the thread that reads it, after its address.
                expected = 422 if route.operation_id == "report" else 401
                assert answer.status_code == expected, (method, route.path_format)
    assert {"ask", "append_log", "report"} < asked


def test_who_is_recognised_does_not_wait_until_that_can_be_noted(site: Site, world: World) -> None:
    with site.engine.begin() as connection:
        connection.execute(text("UPDATE tokens SET last_used_at = NULL"))
        connection.execute(text("UPDATE sessions SET last_seen_at = now() - interval '2 minutes'"))
    with site.engine.begin() as connection:
        connection.execute(text("SELECT 1 FROM tokens FOR UPDATE")).all()
        connection.execute(text("SELECT 1 FROM sessions FOR UPDATE")).all()
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        ok(site.get("/api/v1/me"))
        ok(site.post(f"/api/v1/studies/{world.study}/trials:ask", {"client_id": "loop"}))
    ok(site.get("/api/v1/me"))
    with site.engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM tokens WHERE last_used_at IS NOT NULL")).scalar()


def test_each_api_route_declares_one_policy(site: Site) -> None:
    for route in api_routes(site.app):
        assert len(list(policies_of(route.dependant))) == 1, route.path_format


def test_a_trials_token_reaches_only_its_trial(site: Site, world: World) -> None:
    allowed = set()
    for route in mounted(site, world):
        if route.is_open or (route.method, route.template) == BOTH:
            continue
        content: dict[str, Any] = {"json": {}} if route.method not in ("GET", "HEAD", "DELETE") else {}
        answer = site.request(route.method, route.path, by="trial", **content)
        if answer.status_code == 422:
            allowed.add(route.template.rpartition(":")[2])
        elif route.is_api:
            problem(answer, 403, "forbidden")
        else:
            assert answer.status_code == 403, route
    assert allowed == TRIAL_ROUTES
    for verb in TRIAL_ROUTES:
        answer = site.post(f"/api/v1/trials/{world.queued}:{verb}", {"epoch": 1}, by="trial")
        problem(answer, 403, "forbidden")


def test_a_trials_token_speaks_for_its_epoch_alone(site: Site, world: World) -> None:
    path = f"/api/v1/trials/{world.trial}"
    bodies: dict[str, dict[str, Any]] = {
        "report": {"sequence": 9, "series": {"m": {"step": [1], "value": [1]}}},
        "heartbeat": {},
        "start": {},
        "finish": {"state": "completed"},
        "release": {},
        "log": {"sequence": 1, "content_base64": "QQ=="},
        "checkpoint": {"step": 1, "uri": "/x/1"},
    }
    for verb, body in bodies.items():
        for epoch in (2, 7):
            refused = problem(site.post(f"{path}:{verb}", {"epoch": epoch, **body}, by="trial"), 403)
            assert refused["field"] == "epoch"
    ok(site.post(f"{path}:release", {"epoch": 1}, by="trial"))
    (claim,) = ok(site.post(f"/api/v1/studies/{world.study}/trials:ask", {"client_id": "other"}))["trials"]
    assert claim["trial"]["id"] == world.trial
    assert claim["epoch"] == 2
    for verb, body in bodies.items():
        if verb != "release":  # repeated, it is the ending that was accepted
            problem(site.post(f"{path}:{verb}", {"epoch": 1, **body}, by="trial"), 409)
        problem(site.post(f"{path}:{verb}", {"epoch": 2, **body}, by="trial"), 403)


def test_a_token_from_before_a_restore_is_fenced(site: Site, world: World) -> None:
    with site.engine.begin() as connection:
        connection.execute(text("UPDATE server SET generation = gen_random_uuid()"))
    problem(site.post(f"/api/v1/trials/{world.trial}:heartbeat", {"epoch": 1}, by="trial"), 409, "fenced")


def test_a_workers_token_reaches_only_what_workers_do(site: Site, world: World) -> None:
    allowed = set()
    for route in mounted(site, world):
        if route.is_open or (route.method, route.template) == BOTH:
            continue
        content: dict[str, Any] = {"json": {}} if route.method not in ("GET", "HEAD", "DELETE") else {}
        answer = site.request(route.method, route.path, by="worker", **content)
        if answer.status_code != 403:
            allowed.add(route.template)
            assert answer.status_code in (200, 409, 422), (route, answer.text)
    assert allowed == WORKER_ROUTES
    site.tokens["other"] = access.create_worker_token(site.engine, name="other")
    problem(site.post(f"/api/v1/trials/{world.queued}:claim", by="other"), 403)
    problem(site.post(f"/api/v1/workers/{world.worker}:beat", {"running": []}, by="other"), 403)
    problem(site.post("/api/v1/workers:register", {"name": "gpu", "slots": 1}, by="other"), 409)
    ok(site.post("/api/v1/workers:register", {"name": "other", "slots": 1}, by="other"))
    again = access.create_worker_token(site.engine, name="gpu")
    problem(site.post(f"/api/v1/workers/{world.worker}:beat", {"running": []}, by="worker"), 401)
    site.tokens["worker"] = again
    assert (
        ok(site.post("/api/v1/workers:register", {"name": "gpu", "slots": 1}, by="worker"))["id"]
        == world.worker
    )


def test_each_scope_opens_its_routes_and_no_other(site: Site, world: World) -> None:
    needed = {
        (method, route.path_format): policy.scopes
        for route in api_routes(site.app)
        for policy in policies_of(route.dependant)
        for method in route.methods or ()
        if policy.kinds == ("person",)
    }
    for scope in sorted(SCOPES):
        made = created(site.post("/api/v1/tokens", {"name": scope, "scopes": [scope]}))
        site.tokens[scope] = made["token"]
        assert ok(site.get("/api/v1/me", by=scope))["scopes"] == [scope]
        for route in mounted(site, world):
            scopes = needed.get((route.method, route.template))
            if scopes is None or set(scopes) <= {scope}:
                continue
            content: dict[str, Any] = {"json": {}} if route.method != "GET" else {}
            problem(site.request(route.method, route.path, by=scope, **content), 403, "forbidden")
    # What starts jobs needs the right to start jobs, also where the route alone does not tell.
    studies, launched = f"/api/v1/projects/{world.project}/studies", f"/api/v1/studies/{world.launched}"
    problem(site.post(studies, {**DESIGN, "job": {"template": "train"}}, by="study:write"), 403)
    problem(site.patch(launched, {"budget": 50}, by="study:write"), 403)
    created(site.post(studies, DESIGN, by="study:write"))
    ok(site.patch(launched, {"note": "seen"}, by="study:write"))


def test_a_token_gives_no_more_than_its_maker_has(site: Site, world: World) -> None:
    made = created(site.post("/api/v1/tokens", {"name": "admin", "scopes": ["member:admin"]}))
    site.tokens["admin"] = made["token"]
    problem(site.post("/api/v1/tokens", {"name": "more", "scopes": ["study:read"]}, by="admin"), 403)
    inherited = created(site.post("/api/v1/tokens", {"name": "same"}, by="admin"))
    site.tokens["same"] = inherited["token"]
    assert ok(site.get("/api/v1/me", by="same"))["scopes"] == ["member:admin"]


def test_a_revoked_or_expired_token_is_refused_at_once(site: Site, world: World) -> None:
    made = created(site.post("/api/v1/tokens", {"name": "short", "scopes": ["study:read"]}))
    site.tokens["short"] = made["token"]
    ok(site.get("/api/v1/projects", by="short"))
    with site.engine.begin() as connection:
        expire = "UPDATE tokens SET expires_at = now() - interval '1 s' WHERE id = :id"
        connection.execute(text(expire), {"id": made["id"]})
    problem(site.get("/api/v1/projects", by="short"), 401)
    other = created(site.post("/api/v1/tokens", {"name": "other", "scopes": ["study:read"]}))
    site.tokens["other"] = other["token"]
    ok(site.get("/api/v1/projects", by="other"))
    ok(site.request("DELETE", f"/api/v1/tokens/{other['id']}"))
    problem(site.get("/api/v1/projects", by="other"), 401)
    problem(site.request("DELETE", f"/api/v1/tokens/{other['id']}"), 404)
    with site.engine.begin() as connection:
        connection.execute(text("UPDATE users SET disabled_at = now()"))
    problem(site.get("/api/v1/projects"), 401)


def test_secrets_are_in_one_answer_and_nowhere_else(site: Site, world: World) -> None:
    made = created(site.post("/api/v1/tokens", {"name": "x"}))
    assert TOKEN.fullmatch(made["token"])
    listed = site.get("/api/v1/tokens").text
    session = site.session()["Cookie"].partition("=")[2]
    with site.engine.connect() as connection:
        tables = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).scalars()
        stored = "".join(
            str(connection.execute(text(f"SELECT json_agg(t)::text FROM {table} t")).scalar())
            for table in tables
        )
    for secret in (made["token"], session, *site.tokens.values()):
        assert secret not in listed
        assert secret not in stored
        assert secret.encode().hex() not in stored


def test_malformed_tokens_are_refused(site: Site, world: World) -> None:
    seed = random.randrange(2**32)
    dice, good = random.Random(seed), site.tokens["owner"]
    for _ in range(500):
        place = dice.randrange(len(good))
        bad = dice.choice(
            (
                good[:place] + chr(dice.randrange(33, 127)) + good[place + 1 :],
                good[:place],
                good + chr(dice.randrange(33, 127)),
                good.swapcase(),
                new_token(dice.choice(("pat", "wrk", "trl"))),
            )
        )
        if bad != good:
            answer = site.get("/api/v1/me", by=None, headers={"Authorization": f"Bearer {bad}"})
            # A trial token that nobody knows is from before a restore: its job is told to stop.
            expected = 409 if well_formed(bad) and bad.startswith("tbk_trl_") else 401
            assert answer.status_code == expected, (seed, bad)
    for header in ("", "Bearer", "Bearer ", "Basic b3duZXI6", good, "Bearer \xff\xfe", f"bearer  {good} x"):
        raw = {b"Authorization": header.encode("latin-1")}
        problem(site.get("/api/v1/me", by=None, headers=raw), 401)


def test_a_code_lets_one_browser_in_once(site: Site) -> None:
    code = access.issue_login_code(site.engine)
    answer = site.post("/api/v1/login", {"code": f" {code.lower()} "}, by=None)
    assert ok(answer)["name"] == "owner"
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        r"tunebook_session_8787=[\w-]{43}; HttpOnly; Max-Age=604800; Path=/; SameSite=lax", cookie
    )
    browser = {"Cookie": cookie.partition(";")[0], "Sec-Fetch-Site": "same-origin"}
    ok(site.get("/api/v1/me", by=None, headers=browser))
    problem(site.post("/api/v1/login", {"code": code}, by=None), 401)
    problem(site.post("/api/v1/login", {"code": "AAAAA-AAAAA"}, by=None), 401)
    gone = site.post("/api/v1/logout", by=None, headers=browser)
    assert 'tunebook_session_8787=""' in gone.headers["set-cookie"]
    problem(site.get("/api/v1/me", by=None, headers=browser), 401)


def test_of_many_with_one_code_one_gets_in(site: Site) -> None:
    code = access.issue_login_code(site.engine)
    login = ("POST", "/api/v1/login", {"json": {"code": code}, "by": None})
    statuses = sorted(answer.status_code for answer in site.together(*[login] * 10))
    assert statuses == [200] + [401] * 9


def test_an_old_code_is_refused(site: Site) -> None:
    code = access.issue_login_code(site.engine)
    with site.engine.begin() as connection:
        connection.execute(text("UPDATE login_codes SET expires_at = now() - interval '1 s'"))
    assert timedelta(minutes=15) == access.CODE_LIFETIME
    problem(site.post("/api/v1/login", {"code": code}, by=None), 401)


@pytest.mark.parametrize("column", ["expires_at", "last_seen_at"])
def test_a_session_ends_by_age_and_by_idleness(site: Site, column: str) -> None:
    browser = site.session()
    ok(site.get("/api/v1/me", by=None, headers=browser))
    with site.engine.begin() as connection:
        connection.execute(text(f"UPDATE sessions SET {column} = {column} - interval '8 days'"))
    problem(site.get("/api/v1/me", by=None, headers=browser), 401)


def test_guessing_is_slow(site: Site) -> None:
    login = ("POST", "/api/v1/login", {"json": {"code": "WRONG"}, "by": None})
    statuses = sorted(answer.status_code for answer in site.together(*[login] * 15))
    assert statuses == [401] * 10 + [429] * 5
    code = access.issue_login_code(site.engine)
    refused = site.post("/api/v1/login", {"code": code}, by=None)
    problem(refused, 429, "too_many_tries")
    assert 290 <= int(refused.headers["retry-after"]) <= 300
    forged = site.post("/api/v1/login", {"code": code}, by=None, headers={"X-Forwarded-For": "10.1.2.3"})
    problem(forged, 429)
    # From elsewhere the code still works: a flood from one address locks nobody out.
    access.login(site.engine, code=code, address="10.1.2.3")
    with site.engine.begin() as connection:
        connection.execute(text("UPDATE login_attempts SET at = at - interval '5 minutes'"))
    problem(site.post("/api/v1/login", {"code": code}, by=None), 401)

"""Whatever comes in, the answer is a 4xx problem document that names the field; never a 5xx."""

import json
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, event, text

from tests.api.routes import mounted
from tests.api.site import DESIGN, Site, World, created, ok, problem
from tunebook_server.app import logs
from tunebook_server.domain.batch import MAX_POINTS
from tunebook_server.embedded.postgres import Postgres

BEYOND = (2**63, -(2**63) - 1, 10**30, 10**400)
TEXTS = ("\x00", "a\x00b", "\ud800", "a\udfffb", "\x1b[2J", "a\rb")
WRONG_TYPES: tuple[Any, ...] = (
    None,
    True,
    1.5,
    10**30,
    [],
    {},
    [[]],
    "",
    " ",
    -1,
    "NaN",
    [None],
    {"a": None},
)
COLUMNS: tuple[Any, ...] = (
    {"step": [1]},
    {"step": [1], "value": []},
    {"step": [], "value": []},
    {"step": [1], "value": [1.0, 2.0]},
    {"step": [1.5], "value": [1.0]},
    {"step": [True], "value": [1.0]},
    {"step": ["1"], "value": [1.0]},
    {"step": [-1], "value": [1.0]},
    {"step": [1], "value": ["nan"]},
    {"step": [1], "value": ["1.5"]},
    {"step": [1], "value": [None]},
    {"step": [1], "value": [[1.0]]},
    {"step": [1], "value": [1.0], "x": 1},
    {"step": "AQAAAAAAAAA", "value": [1.0]},
    {"step": "AQ==", "value": [1.0]},
    {"step": "A\x00==", "value": [1.0]},
    {"step": "é", "value": [1.0]},
    {"step": list(range(MAX_POINTS + 1)), "value": [0.5] * (MAX_POINTS + 1)},
    [],
    None,
    "x",
)


def bodies(world: World) -> dict[str, tuple[str, str, str, dict[str, Any]]]:
    """A good body for each route that takes one: (method, path, by, body)."""
    trial, study = f"/api/v1/trials/{world.trial}", f"/api/v1/studies/{world.study}"
    project, worker = f"/api/v1/projects/{world.project}", f"/api/v1/workers/{world.worker}"
    series = {"m": {"step": [1], "value": [1.0]}}
    return {
        "login": ("POST", "/api/v1/login", "owner", {"code": "x"}),
        "token": (
            "POST",
            "/api/v1/tokens",
            "owner",
            {"name": "x", "scopes": ["study:read"], "expires_in_days": 3},
        ),
        "worker token": ("POST", "/api/v1/worker-tokens", "owner", {"name": "x"}),
        "project": ("POST", "/api/v1/projects", "owner", {"name": "x", "goal": "", "note": ""}),
        "project change": ("PATCH", project, "owner", {"name": "y", "goal": "", "note": ""}),
        "template": (
            "POST",
            f"{project}/job-templates",
            "owner",
            {"name": "x", "argv": ["x"], "folder": "/", "environment": ["A"]},
        ),
        "round": ("POST", f"{project}/rounds", "owner", {"name": "x", "goal": ""}),
        "round change": (
            "PATCH",
            f"/api/v1/rounds/{world.round}",
            "owner",
            {"name": "y", "goal": "", "conclusion": "Adam."},
        ),
        "study": ("POST", f"{project}/studies", "owner", DESIGN),
        "study change": (
            "PATCH",
            study,
            "owner",
            {"goal": "", "note": "", "budget": 41, "parallel": 2, "round": world.round},
        ),
        "preview": ("POST", "/api/v1/studies:preview", "owner", {"document": DESIGN, "count": 3}),
        "lint": ("POST", "/api/v1/studies:lint", "owner", DESIGN),
        "follow-up": (
            "POST",
            f"{study}:followup",
            "owner",
            {"changes": [{"change": "trials", "trials": 9}]},
        ),
        "enqueue": (
            "POST",
            f"{study}/trials",
            "owner",
            {"parameters": {"optimizer": "adam", "learning_rate": 0.1}},
        ),
        "ask": ("POST", f"{study}/trials:ask", "owner", {"client_id": "x", "count": 1, "host": "h"}),
        "trial change": ("PATCH", trial, "owner", {"note": "x"}),
        "cancel": ("POST", f"/api/v1/trials/{world.queued}:cancel", "owner", {}),
        "retry": ("POST", f"{trial}:retry", "owner", {}),
        "register": (
            "POST",
            "/api/v1/workers:register",
            "worker",
            {"name": "gpu", "slots": 1, "host": "h", "labels": {"a": "b"}, "version": "1"},
        ),
        "beat": ("POST", f"{worker}:beat", "worker", {"running": [1]}),
        "claim next": ("POST", f"{worker}:claim", "worker", {"key": "k", "gpus": 0, "cpus": 0, "host": "h"}),
        "removals": ("POST", f"{worker}:removals", "worker", {"roots": [{"uri": "/c", "shared": True}]}),
        "removed": ("POST", f"{worker}:removed", "worker", {"removed": [1]}),
        "drain": ("POST", f"{worker}:drain", "owner", {}),
        "undrain": ("POST", f"{worker}:undrain", "owner", {}),
        "claim": ("POST", f"/api/v1/trials/{world.queued}:claim", "worker", {"host": "h"}),
        "start": ("POST", f"{trial}:start", "trial", {"epoch": 1, "host": "h", "environment": {"a": "b"}}),
        "heartbeat": ("POST", f"{trial}:heartbeat", "trial", {"epoch": 1}),
        "report": ("POST", f"{trial}:report", "trial", {"epoch": 1, "sequence": 3, "series": series}),
        "checkpoint": (
            "POST",
            f"{trial}:checkpoint",
            "trial",
            {
                "epoch": 1,
                "step": 1,
                "uri": "/c/1",
                "metric": 0.5,
                "size_bytes": 9,
                "content_hash": "sha256:00",
            },
        ),
        "log": ("POST", f"{trial}:log", "trial", {"epoch": 1, "sequence": 0, "content_base64": "QQ=="}),
        "finish": (
            "POST",
            f"{trial}:finish",
            "trial",
            {"epoch": 1, "state": "completed", "reason": "", "exit_status": 0, "dropped_points": 0},
        ),
        "release": ("POST", f"{trial}:release", "trial", {"epoch": 1, "reason": "x"}),
    }


def send(site: Site, route: tuple[str, str, str, dict[str, Any]], body: bytes) -> Any:
    method, path, by, _ = route
    return site.request(method, path, by=by, content=body, headers={"Content-Type": "application/json"})


def refused(site: Site, route: tuple[str, str, str, dict[str, Any]], body: bytes) -> dict[str, Any]:
    answer = send(site, route, body)
    assert 400 <= answer.status_code < 500, (route[1], body[:200], answer.text)
    return problem(answer)


def test_every_body_is_known_here(site: Site, world: World) -> None:
    known = {(method, path) for method, path, _, _ in bodies(world).values()}
    known |= {("POST", f"/api/v1/trials/{world.trial}:{verb}") for verb in ("cancel", "claim")}
    without_body = {"/api/v1/logout", f"/api/v1/workers/{world.worker}:stopped"}
    for route in mounted(site, world):
        if route.method in ("POST", "PATCH") and route.is_api and route.path not in without_body:
            assert (route.method, route.path) in known, route


def test_what_is_no_json_is_refused(site: Site, world: World) -> None:
    nested = b"[" * 100_000 + b"]" * 100_000
    deep = b'{"name":' * 300 + b"1" + b"}" * 300
    for route in bodies(world).values():
        for body in (
            b"",
            b"{",
            b"null",
            b"[]",
            b'"x"',
            b"1",
            b"{'a': 1}",
            b"\xff\xfe",
            b'{"a": NaN}',
            nested,
            deep,
        ):
            refused(site, route, body)
        refused(site, route, json.dumps(route[3]).encode() + b"x")
        assert refused(site, route, json.dumps({**route[3], "unknown": 1}).encode())["status"] == 422


def test_texts_that_cannot_be_stored_are_named(site: Site, world: World) -> None:
    # In a code that is only compared, or a reason that is cleaned because the ending counts, they do no harm.
    harmless = {("login", "code"), ("finish", "reason"), ("release", "reason")}
    for name, route in bodies(world).items():
        for field, value in route[3].items():
            if not isinstance(value, str) or field in ("state", "content_base64"):
                continue
            for bad in TEXTS:
                body = json.dumps({**route[3], field: bad}).encode()
                if bad == "a\rb" and field in ("goal", "note", "conclusion"):
                    continue  # some control characters are lines
                if (name, field) in harmless and "\x00" not in bad and not any(c >= "\ud800" for c in bad):
                    continue
                assert refused(site, route, body)["field"] == field, (name, field, bad)


def test_names_that_cannot_be_stored_are_named(site: Site, world: World) -> None:
    routes = bodies(world)
    for bad in ("\x00", "a\x00b", "\ud800", "\x1b[2J", "a" * 201, ""):
        for name, field in (("start", "environment"), ("register", "labels"), ("enqueue", "parameters")):
            body = {**routes[name][3], field: {bad: "x"}}
            answer = send(site, routes[name], json.dumps(body).encode())
            assert answer.status_code < 500, answer.text
        series = {bad: {"step": [1], "value": [1.0]}}
        found = refused(
            site, routes["report"], json.dumps({**routes["report"][3], "series": series}).encode()
        )
        assert found["field"].startswith("series"), found


def test_wrong_types_are_refused(site: Site, world: World) -> None:
    for name, route in bodies(world).items():
        for field, value in route[3].items():
            for wrong in (*WRONG_TYPES, *BEYOND):
                if type(wrong) is type(value) or (isinstance(wrong, dict) and isinstance(value, dict)):
                    continue
                answer = send(site, route, json.dumps({**route[3], field: wrong}).encode())
                assert answer.status_code < 500, (name, field, wrong, answer.text)
                if answer.status_code >= 400:
                    problem(answer)


def test_a_mistyped_field_or_word_is_told_the_near_one(site: Site, world: World) -> None:
    routes = bodies(world)
    found = refused(site, routes["study change"], b'{"budgt": 50}')
    assert (found["detail"], found["field"]) == ("budgt: there is no such field here", "budgt")
    assert found["remedy"] == "Did you mean budget? Leave it out, or look for a mistyped name."
    inside = refused(site, routes["removals"], b'{"roots": [{"uri": "/c", "share": true}]}')
    remedies = {fault["field"]: fault["remedy"] for fault in inside["faults"]}
    assert remedies["roots.0.share"].startswith("Did you mean shared? ")
    listed = site.request("GET", f"/api/v1/studies/{world.study}/trials?state=faild", by="owner")
    found = problem(listed, 422)
    assert found["detail"] == "state.0: is 'faild'"
    words = "queued, claimed, running, completed, infeasible, stopped or failed"
    assert found["remedy"] == f"Did you mean failed? Use {words}."
    found = refused(site, routes["study change"], b'{"state": 3}')
    assert found["remedy"].startswith("Use running")


def test_numbers_beyond_64_bits_are_refused(site: Site, world: World) -> None:
    routes = bodies(world)
    for name, route in routes.items():
        for field, value in route[3].items():
            if isinstance(value, int) and not isinstance(value, bool):
                for beyond in BEYOND:
                    found = refused(site, route, json.dumps({**route[3], field: beyond}).encode())
                    assert found["field"] == field or found["code"] == "invalid_json", (name, found)
    for beyond in BEYOND[:3]:
        series = {"m": {"step": [beyond], "value": [1.0]}}
        found = refused(
            site, routes["report"], json.dumps({**routes["report"][3], "series": series}).encode()
        )
        assert found["field"] == "series.m.step"


def test_columns_that_are_none_are_refused(site: Site, world: World) -> None:
    route = bodies(world)["report"]
    for column in COLUMNS:
        found = refused(site, route, json.dumps({**route[3], "series": {"loss": column}}).encode())
        assert found["field"].startswith("series"), (column, found)


def test_each_text_ends_at_its_limit(site: Site, world: World) -> None:
    routes = bodies(world)
    for name, field, most in (
        ("project", "name", 200),
        ("project", "goal", 10_000),
        ("project change", "note", 10_000),
        ("template", "name", 200),
        ("template", "folder", 4096),
        ("worker token", "name", 200),
        ("study change", "note", 10_000),
        ("trial change", "note", 10_000),
        ("ask", "client_id", 190),
        ("ask", "host", 200),
        ("register", "version", 200),
        ("checkpoint", "uri", 4096),
    ):
        for length in (most - 1, most):
            body = {**routes[name][3], field: "é" * length}
            answer = send(site, routes[name], json.dumps(body).encode())
            # The uri is taken as text, and refused for the folder that it then is in.
            accepted = (200, 201, 409, 422) if field == "uri" else (200, 201, 409)
            assert answer.status_code in accepted, (name, field, answer.text)
        above = {**routes[name][3], field: "é" * (most + 1)}
        assert refused(site, routes[name], json.dumps(above).encode())["field"] == field


def test_bombs_are_cheap(site: Site, world: World) -> None:
    route = bodies(world)["report"]
    many_series = b",".join(b'"%d":{}' % number for number in range(300_000))
    many_values = b",".join([b"true"] * 800_000)
    many_fields = b",".join(b'"%d":1' % number for number in range(300_000))
    for body in (
        b'{"epoch":1,"sequence":1,"series":{%s}}' % many_series,
        b'{"epoch":1,"sequence":1,"series":{"a":{"step":[1],"value":[%s]}}}' % many_values,
        b'{"epoch":1,"sequence":1,"series":{"a":{%s}}}' % many_fields,
        b"{%s}" % many_fields,
    ):
        found = refused(site, route, body)
        assert len(found["faults"]) <= 100
    for path in ("/api/v1/projects", f"/api/v1/trials/{world.trial}:report"):
        content = {"content": b"[" * 1_000_000, "headers": {"Content-Type": "application/json"}}
        problem(site.request("POST", path, by=None, **content), 401)
    problem(site.request("POST", "/api/v1/login", by=None, **content), 413)
    for name, field in (("project", "name"), ("template", "argv"), ("beat", "running"), ("study", "space")):
        route = bodies(world)[name]
        refused(site, route, b"{%s}" % many_fields)
        values = b'{"%s": [%s]}' % (field.encode(), b",".join([b"[]"] * 200_000))
        assert len(json.dumps(refused(site, route, values))) < 100_000


def test_ids_and_queries_out_of_range_are_refused(site: Site, world: World) -> None:
    for route in mounted(site, world):
        if "{" not in route.template or not route.is_api:
            continue
        for place in ("0", "-1", "1.5", "x", "%00", "9" * 19, "9" * 30, "9" * 5000, "１", "1%2F2", "..%2F1"):
            path = route.template.split("{")[0] + place
            rest = route.template.partition("}")[2]
            content: dict[str, Any] = {} if route.method in ("GET", "DELETE") else {"json": {}}
            answer = site.request(route.method, (path + rest).replace("{kind}", "history"), **content)
            assert 400 <= answer.status_code < 500, (route, place, answer.text)
            problem(answer)
    for path, names in {
        "/api/v1/studies": ("project", "name", "state", "limit", "cursor"),
        f"/api/v1/studies/{world.study}/trials": ("state", "sort", "filter", "limit", "cursor"),
        f"/api/v1/trials/{world.trial}/metrics": (
            "max_points",
            "first_step",
            "last_step",
            "superseded",
            "metric",
        ),
        f"/api/v1/trials/{world.trial}/log": ("after", "epoch", "limit_bytes"),
        f"/api/v1/studies/{world.study}/figures/curves": (
            "best",
            "trials",
            "smooth",
            "x",
            "first",
            "unknown",
        ),
        f"/api/v1/studies/{world.study}/figures/axis": ("parameter", "clip", "theme"),
        f"/api/v1/studies/{world.study}/figures/contour": ("x", "y"),
        f"/api/v1/studies/{world.study}/figures/interaction": ("parameter", "theme"),
        f"/api/v1/studies/{world.study}/figures/gradient-norm": ("trial", "threshold"),
        "/api/v1/events": ("study", "revision"),
    }.items():
        for name in names:
            for value in ("\x00", "a\x1bb", "", "x" * 5000):
                answer = site.get(path, params={name: value})
                assert answer.status_code in (200, 404, 422), (path, name, answer.text)
                if value in ("\x00", "x" * 5000):
                    problem(answer)


def test_addresses_and_methods_that_are_not_there(site: Site, world: World) -> None:
    problem(site.get("/api/v1/nothing"), 404, "not_found")
    problem(site.get("/api/v1/projects/9999999"), 404, "not_found")
    wrong = site.request("PUT", "/api/v1/projects", json={})
    problem(wrong, 405, "method_not_allowed")
    assert set(wrong.headers["allow"].split(", ")) >= {"GET", "POST"}
    problem(site.request("DELETE", f"/api/v1/trials/{world.trial}"), 405)


def test_a_defect_tells_its_id_and_nothing_else(
    site: Site, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure()  # onto what capsys reads
    with site.engine.begin() as connection:
        connection.execute(text("ALTER TABLE tokens RENAME last4 TO gone"))
        connection.execute(text("ALTER TABLE tokens RENAME scopes TO secret_scopes"))
    ids = []
    for route in mounted(site, world):
        if route.is_open or not route.is_api:
            continue
        content: dict[str, Any] = {} if route.method in ("GET", "DELETE") else {"json": {}}
        answer = site.request(route.method, route.path, **content)
        found = problem(answer, 500, "internal")
        assert "scopes" not in answer.text
        assert "psycopg" not in answer.text
        assert answer.headers["content-security-policy"]
        ids.append(found["id"])
    assert len(set(ids)) == len(ids) > 40
    printed = capsys.readouterr()
    logged = printed.out + printed.err
    assert all(log_id in logged for log_id in ids)
    assert not any(token in logged for token in site.tokens.values())


def test_a_busy_database_is_503(site: Site, world: World) -> None:
    holder = create_engine(site.engine.url)

    @event.listens_for(site.engine, "begin")
    def hurry(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = '50ms'")

    with holder.begin() as connection:
        connection.execute(text("LOCK TABLE projects IN ACCESS EXCLUSIVE MODE"))
        busy = site.get("/api/v1/projects")
        problem(busy, 503, "busy")
        assert busy.headers["retry-after"] == "1"
    ok(site.get("/api/v1/projects"))
    holder.dispose()


def test_a_database_that_is_away_is_503_until_it_is_back(
    site: Site, world: World, postgres: Postgres
) -> None:
    name = site.engine.url.database
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        for path, by in (("/health", None), ("/api/v1/projects", "owner")):
            problem(site.get(path, by=by), 503, "unavailable")
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    for path, by in (("/health", None), ("/api/v1/projects", "owner")):
        ok(site.get(path, by=by))


def test_a_commit_that_fails_is_no_success(site: Site, world: World) -> None:
    with site.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'not today'; END $$"
            )
        )
        for table in ("projects", "studies", "trials", "tokens", "audit", "metric_batches"):
            connection.execute(
                text(
                    f"CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON {table} "
                    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
                )
            )
    routes = bodies(world)
    for name in (
        "token",
        "project",
        "template",
        "study",
        "enqueue",
        "ask",
        "trial change",
        "report",
        "finish",
    ):
        answer = send(site, routes[name], json.dumps(routes[name][3]).encode())
        problem(answer, 500, "internal")
        keyed = {"Content-Type": "application/json", "Idempotency-Key": "once"}
        method, path, by, body = routes[name]
        again = site.request(method, path, by=by, json=body, headers=keyed)
        assert again.status_code == (422 if name in ("token", "ask") else 500), again.text
    with site.engine.begin() as connection:
        for table in ("projects", "studies", "trials", "tokens", "audit", "metric_batches"):
            connection.execute(text(f"DROP TRIGGER late ON {table}"))
    assert len(ok(site.get("/api/v1/projects"))["items"]) == 1
    keyed = {"Idempotency-Key": "once"}
    created(site.post("/api/v1/projects", {"name": "now"}, headers=keyed))

"""Who did what: each change by a person leaves exactly one row; what was refused leaves none."""

import re

from sqlalchemy import text

from tests.api.routes import UNSAFE
from tests.api.site import DESIGN, Site, World, ok
from tests.api.test_problems import bodies
from tunebook_server.api.access import policies_of
from tunebook_server.api.openapi import api_routes


def rows(site: Site) -> list[tuple[str, str, str]]:
    with site.engine.connect() as connection:
        found = connection.execute(text("SELECT actor, action, object FROM audit ORDER BY id"))
        return [tuple(row) for row in found]


def test_each_change_by_a_person_is_written_down_once(site: Site, world: World) -> None:
    with site.engine.begin() as connection:
        fail = (
            "UPDATE trials SET state = 'failed', lease_expires_at = NULL, finished_at = now() WHERE id = :id"
        )
        connection.execute(text(fail), {"id": world.trial})
    changes = {
        name: route for name, route in bodies(world).items() if route[2] == "owner" and name != "login"
    }
    token = site.post("/api/v1/tokens", {"name": "to revoke"}).json()["id"]
    changes["revoke"] = ("DELETE", f"/api/v1/tokens/{token}", "owner", {})
    changes["cancel"] = changes.pop("cancel")  # last: it ends the trial
    done = set()
    for name, (method, path, _, body) in changes.items():
        before = rows(site)
        answer = site.request(method, path, json=body)
        assert answer.status_code in (200, 201), (name, answer.text)
        fresh = rows(site)[len(before) :]
        done.add((method, re.sub(r"/\d+", "/{}", path)))
        if name in ("preview", "lint", "follow-up"):
            assert fresh == []
        else:
            assert len(fresh) == 1, (name, fresh)
            assert fresh[0][0] == "user:owner"
            assert fresh[0][2]
    people = {
        (method, re.sub(r"/\{\w+\}", "/{}", route.path_format))
        for route in api_routes(site.app)
        for policy in policies_of(route.dependant)
        for method in route.methods or ()
        if policy.kinds == ("person",) and method in UNSAFE
    }
    assert done == people - {("POST", "/api/v1/logout")}


def test_logins_are_written_down(site: Site) -> None:
    before = len(rows(site))
    browser = site.session()
    assert [action for _, action, _ in rows(site)[before:]] == ["login_code.issue", "login"]
    ok(site.post("/api/v1/logout", by=None, headers=browser))
    assert rows(site)[-1][:2] == ("user:owner", "logout")


def test_what_was_refused_leaves_no_row(site: Site, world: World) -> None:
    before = rows(site)
    for method, path, by, body in bodies(world).values():
        if by == "owner":
            site.request(method, path, json={**body, "unknown": 1})
            site.request(method, path, json=body, by="trial")
    site.post(f"/api/v1/projects/{world.project}/studies", {**DESIGN, "job": {"template": "unknown"}})
    site.post("/api/v1/projects", {"name": ok(site.get(f"/api/v1/projects/{world.project}"))["name"]})
    site.post(f"/api/v1/trials/{world.trial}:retry")
    site.patch(f"/api/v1/studies/{world.study}", {"budget": 1}, headers={"If-Match": '"1.stale"'})
    assert rows(site) == before

"""Thresholds of the checklist over HTTP and on the pages: given, changed, shown."""

import html

from tests.api.site import DESIGN, Site, World, created, ok, problem
from tunebook_server.domain.findings.thresholds import BY_NAME
from tunebook_server.services import findings

OWN = {"boundary.edge_share": 0.4, "sampling.needed_trials": 20, "infeasible_share.warn_share": 0.1}


def page(site: Site, path: str) -> str:
    answer = site.get(path, by=None, headers=site.session())
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


def test_thresholds_are_given_changed_and_refused(site: Site, world: World) -> None:
    study = created(site.post(f"/api/v1/projects/{world.project}/studies", {**DESIGN, "checks": OWN}))
    path = f"/api/v1/studies/{study['id']}"
    assert study["checks"] == OWN
    seen = {"If-Match": site.get(path).headers["etag"]}
    assert ok(site.patch(path, {"checks": {"boundary.edge": 0.2}}, headers=seen))["checks"] == {
        "boundary.edge": 0.2
    }
    problem(site.patch(path, {"checks": {}}, headers=seen), 412, "stale")
    refused = problem(site.patch(path, {"checks": {"boundary.egde": 0.2, "boundary.edge": 9}}), 422)
    assert [fault["field"] for fault in refused["faults"]] == [
        "checks.'boundary.egde'",
        "checks.boundary.edge",
    ]
    assert "boundary.edge" in refused["faults"][0]["remedy"]
    assert ok(site.patch(path, {"checks": {}}))["checks"] == {}


def test_what_differs_stands_on_the_page_and_in_the_report(site: Site, world: World) -> None:
    path = f"/studies/{world.study}"
    ok(site.patch(f"/api/v1{path}", {"checks": OWN}))
    findings.refresh(site.engine, study_id=world.study)
    shown = page(site, path)
    assert "2 thresholds differ from the defaults" in shown, "the third is at its default"
    assert BY_NAME["boundary.edge_share"].says in shown
    assert "boundary.edge_share 0.4 (default 0.5)" in page(site, f"{path}/report.html")
    items = ok(site.get(f"/api/v1{path}/findings"))["items"]
    assert {name for item in items for name in item["thresholds"]} <= set(OWN)


def test_the_form_has_a_field_for_each(site: Site, world: World) -> None:
    ok(site.patch(f"/api/v1/studies/{world.study}", {"checks": OWN}))
    form = page(site, f"/projects/{world.project}/studies/new?from={world.study}&changes=[]")
    for name in BY_NAME:
        assert f'name="checks.{name}"' in form
    assert '<details class="thresholds" open>' in form
    assert 'name="checks.boundary.edge_share" type="text" value="0.4"' in form
    plain = page(site, f"/projects/{world.project}/studies/new")
    assert '<details class="thresholds">' in plain

"""Rounds over HTTP: made, concluded, and named by the studies of their project and no other."""

from typing import Any

import pytest

from tests.api.site import DESIGN, Site, World, created, ok, problem


def studies_of(site: Site, world: World) -> list[int]:
    return [row["id"] for row in ok(site.get(f"/api/v1/studies?round={world.round}"))["items"]]


def test_a_study_is_made_in_a_round_and_moves_to_another(site: Site, world: World) -> None:
    path = f"/api/v1/projects/{world.project}"
    by_name = created(site.post(f"{path}/studies", {**DESIGN, "round": "optimizer"}))
    by_id = created(site.post(f"{path}/studies", {**DESIGN, "name": "again", "round": world.round}))
    assert by_name["round_id"] == by_id["round_id"] == world.round
    assert studies_of(site, world) == [by_id["id"], by_name["id"]]
    (row,) = ok(site.get(f"{path}/rounds"))["items"]
    assert (row["id"], row["name"], row["studies"], row["running_studies"]) == (
        world.round,
        "optimizer",
        2,
        2,
    )
    other = created(site.post(f"{path}/rounds", {"name": "schedule"}))
    study = f"/api/v1/studies/{by_name['id']}"
    seen = {"If-Match": site.get(study).headers["etag"]}
    assert ok(site.patch(study, {"round": "schedule"}, headers=seen))["round_id"] == other["id"]
    problem(site.patch(study, {"round": None}, headers=seen), 412, "stale")
    assert ok(site.patch(study, {"round": None}))["round_id"] is None
    assert studies_of(site, world) == [by_id["id"]]
    follower = ok(site.post(f"/api/v1/studies/{by_id['id']}:followup", {"changes": []}))
    assert follower["document"]["round"] == world.round
    assert created(site.post(f"{path}/studies", follower["document"]))["round_id"] == world.round


@pytest.mark.parametrize("named", ["nothing", 987654, 0, 2**70, "", " ", "x" * 201, 1.5, True, [1], "a\nb"])
def test_a_round_that_is_not_there_is_refused(site: Site, world: World, named: Any) -> None:
    made = site.post(f"/api/v1/projects/{world.project}/studies", {**DESIGN, "round": named})
    assert problem(made, 422, "invalid")["field"] == "round"
    edited = problem(site.patch(f"/api/v1/studies/{world.study}", {"round": named}), 422, "invalid")
    assert edited["field"].startswith("round")
    assert edited["faults"][0]["remedy"] or named != "nothing"


def test_a_round_of_another_project_is_refused(site: Site, world: World) -> None:
    other = created(site.post("/api/v1/projects", {"name": "other"}))["id"]
    foreign = created(site.post(f"/api/v1/projects/{other}/rounds", {"name": "far away"}))["id"]
    for named in (foreign, "far away"):
        made = site.post(f"/api/v1/projects/{world.project}/studies", {**DESIGN, "round": named})
        assert problem(made, 422, "invalid")["field"] == "round"
        edited = site.patch(f"/api/v1/studies/{world.study}", {"round": named})
        assert problem(edited, 422, "invalid")["field"] == "round"


def test_names_are_a_projects_own(site: Site, world: World) -> None:
    rounds = f"/api/v1/projects/{world.project}/rounds"
    assert problem(site.post(rounds, {"name": "optimizer"}), 409, "conflict")["field"] == "name"
    second = created(site.post(rounds, {"name": "schedule"}))["id"]
    assert problem(site.patch(f"/api/v1/rounds/{second}", {"name": "optimizer"}), 409)["field"] == "name"
    other = created(site.post("/api/v1/projects", {"name": "other"}))["id"]
    created(site.post(f"/api/v1/projects/{other}/rounds", {"name": "optimizer"}))
    assert len(ok(site.get("/api/v1/rounds?name=optimizer"))["items"]) == 2
    problem(site.get("/api/v1/projects/987654/rounds"), 404)
    problem(site.get("/api/v1/rounds/987654"), 404)


def test_of_many_at_once_one_gets_the_name(site: Site, world: World) -> None:
    rounds = f"/api/v1/projects/{world.project}/rounds"
    made = [("POST", rounds, {"json": {"name": "mine"}})] * 4
    renamed = ("PATCH", f"/api/v1/rounds/{world.round}", {"json": {"name": "mine"}})
    statuses = [answer.status_code for answer in site.together(*made, renamed)]
    assert sorted(status >= 400 for status in statuses) == [False, True, True, True, True], statuses
    assert set(statuses) <= {200, 201, 409}


def test_pages_of_rounds_are_complete(site: Site, world: World) -> None:
    rounds = f"/api/v1/projects/{world.project}/rounds"
    for number in range(6):
        created(site.post(rounds, {"name": f"round {number}", "goal": "<b>?\nline"}))
    page = ok(site.get(f"{rounds}?limit=3"))
    found = [row["id"] for row in page["items"]]
    while page["next"]:
        page = ok(site.get(f"{rounds}?limit=3&cursor={page['next']}"))
        found += [row["id"] for row in page["items"]]
    assert len(found) == 7
    assert found == sorted(found, reverse=True)

"""Follow-ups over HTTP: drafted without storing anything, then created with the memory of their parents."""

from typing import Any

import pytest

from tests.api.site import DESIGN, Site, World, created, ok, problem

WIDER = {"change": "range", "key": "learning_rate", "low": 1e-4, "high": 10}
ADAM = {"change": "fix", "key": "optimizer", "value": "adam"}


def draft(site: Site, study: int, *changes: Any, **options: Any) -> Any:
    return site.post(f"/api/v1/studies/{study}:followup", {"changes": list(changes)}, **options)


def test_a_draft_becomes_a_study_that_knows_its_parent(site: Site, world: World) -> None:
    studies = f"/api/v1/projects/{world.project}/studies"
    before = ok(site.get(studies))["items"]
    drafted = ok(draft(site, world.study, WIDER, ADAM))
    assert ok(site.get(studies))["items"] == before
    assert [row["words"] for row in drafted["difference"]] == [
        "optimizer sgd, adam → fixed at adam",
        "learning_rate 1e-4 … 1 → 1e-4 … 10",
        "optimizer=sgd/momentum removed: 0 … 0.99",
        "sampler.seed 7 → 8",
    ]
    document = drafted["document"]
    assert (document["name"], document["parents"]) == ("optimizer, follow-up 1", [world.study])
    assert ok(site.post("/api/v1/studies:preview", {"document": document}))["faults"] == []

    key = {"Idempotency-Key": "follow"}
    made = created(site.post(studies, document, headers=key))
    assert made["parents"] == [world.study]
    assert created(site.post(studies, document, headers=key))["id"] == made["id"]
    assert ok(site.get(f"/api/v1/studies/{made['id']}"))["parents"] == [world.study]
    assert ok(site.get(f"/api/v1/studies/{world.study}"))["parents"] == []
    assert ok(draft(site, made["id"]))["document"]["name"] == "optimizer, follow-up 2"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ([WIDER, {**WIDER, "key": "learning_rat"}], "changes.1.key"),
        ([{**WIDER, "low": 20}], "changes.0.low"),
        ([{**WIDER, "lwo": 20}], "changes.0"),
        ([{"change": "rang"}], "changes.0.change"),
        ([{"change": "vary", "parameter": {"name": "x", "type": "flaot"}}], "changes.0.parameter.type"),
        ([WIDER] * 201, "changes"),
        ([3], "changes.0"),
    ],
)
def test_what_cannot_be_applied_is_named(
    site: Site, world: World, changes: list[dict[str, Any]], field: str
) -> None:
    found = problem(draft(site, world.study, *changes), 422, "invalid")
    assert found["field"] == field
    assert found["faults"][0]["problem"]


def test_drafts_are_for_readers_of_studies_that_are_there(site: Site, world: World) -> None:
    problem(draft(site, 987654, WIDER), 404, "not_found")
    problem(draft(site, world.study, WIDER, by=None), 401)
    problem(draft(site, world.study, WIDER, by="worker"), 403)


@pytest.mark.parametrize(
    ("parents", "field"),
    [([987654], "parents.0"), ([0], "parents"), ([1, 1], "parents"), ("1", "parents"), ([True], "parents")],
)
def test_wrong_parents_are_refused(site: Site, world: World, parents: Any, field: str) -> None:
    path = f"/api/v1/projects/{world.project}/studies"
    assert problem(site.post(path, {**DESIGN, "parents": parents}), 422, "invalid")["field"] == field


def test_a_study_of_another_project_is_no_parent(site: Site, world: World) -> None:
    other = created(site.post("/api/v1/projects", {"name": "other"}))["id"]
    refused = site.post(f"/api/v1/projects/{other}/studies", {**DESIGN, "parents": [world.study]})
    assert problem(refused, 422, "invalid")["field"] == "parents.0"

"""Advice on a design over HTTP: a sentence, its reason, and the mended document to send instead."""

from typing import Any

import pytest

from tests.api.site import DESIGN, Site, World, created, ok, problem
from tunebook_server.domain.changes import KINDS

LINT = "/api/v1/studies:lint"


def items(site: Site, document: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ok(site.post(LINT, document))["items"]
    return found


def test_mend_after_mend_a_design_is_without_reproach_and_starts(site: Site, world: World) -> None:
    document: Any = {
        **DESIGN,
        "space": [
            *DESIGN["space"],
            {"name": "steps", "type": "categorical", "choices": [1000, 2000]},
            {"name": "warmup_steps", "type": "fixed", "value": 400},
            {"name": "dropout", "type": "categorical", "choices": [0.0, 0.1, 0.2], "role": "scientific"},
        ],
        "budget": {"trials": 12},
    }
    rules = []
    while advices := items(site, document):
        advice = advices[0]
        assert advice["sentence"]
        assert advice["reason"]
        assert advice["source"]
        assert advice["mend"]["title"]
        assert {change["change"] for change in advice["mend"]["changes"]} <= {
            *KINDS,
            "assign",
            "depend",
            "rescale",
            "remark",
        }
        document = advice["mend"]["document"]
        rules.append(advice["rule"])
        assert len(rules) < 30
    assert set(rules) == {
        "train_steps_varied",
        "strength_scientific",
        "range_shared",
        "range_scale",
        "too_few_trials",
        "warmup_long",
    }
    study = created(site.post(f"/api/v1/projects/{world.project}/studies", document))
    assert study["note"] == "steps 2200 includes 200 of warmup_steps."
    assert [entry["name"] for entry in study["space"]].count("learning_rate") == 2


def test_what_is_no_design_is_refused_with_its_faults(site: Site, world: World) -> None:
    refused = problem(site.post(LINT, {**DESIGN, "budget": {"trials": 0}}), 422, "invalid")
    assert [fault["field"] for fault in refused["faults"]] == ["budget.trials"]
    bodies: tuple[Any, ...] = ([], "x", 3)
    for body in bodies:
        assert site.request("POST", LINT, json=body).status_code == 422


@pytest.mark.parametrize("by", ["worker", "trial"])
def test_only_people_ask(site: Site, world: World, by: str) -> None:
    problem(site.post(LINT, DESIGN, by=by), 403)


def test_a_large_design_is_answered_with_the_first_advices(site: Site, world: World) -> None:
    space = [{"name": f"x{place}.lr", "type": "float", "low": 0.0, "high": 1.0} for place in range(200)]
    found = items(site, {**DESIGN, "space": space})
    assert len(found) == 20
    assert found[0]["field"] == "space.0.scale"

"""Studies compared over HTTP: figures, numbers, fairness, and what is refused."""

from typing import Any

import httpx
import pytest

from tests import comparing
from tests.api.site import Site, World, created, ok, problem
from tunebook_server.services import access, findings

KINDS = ("isolation", "distribution", "best-of-k")


def grow(site: Site, world: World, optimizer: str, **changes: Any) -> int:
    return comparing.grow(site.engine, world.project, optimizer, **changes)


@pytest.fixture
def pair(site: Site, world: World) -> tuple[int, int]:
    return grow(site, world, "sgd"), grow(site, world, "adam", better=0.9)


def compare(site: Site, *studies: int, **options: Any) -> httpx.Response:
    return site.get("/api/v1/compare", params={"studies": ",".join(map(str, studies)), **options})


def test_a_clear_winner_of_a_fair_comparison(site: Site, pair: tuple[int, int]) -> None:
    before = ok(compare(site, *pair))
    assert (before["verdict"], before["by"]) == ("not_enough_data", "optimizer")
    assert [study["findings"] for study in before["studies"]] == [None, None]
    for study_id in pair:
        findings.refresh(site.engine, study_id=study_id)
    found = ok(compare(site, *pair))
    checks = {check["item"]: check["verdict"] for check in found["checks"]}
    assert {checks[item] for item in ("objective", "fixed values", "nuisance", "trials", "sampler")} == {
        "pass"
    }
    assert {"boundary", "sampling", "infeasible share"} <= checks.keys()
    assert [study["name"] for study in found["studies"]] == ["sgd", "adam"]
    assert [row["field"] for row in found["differences"]] == ["optimizer"]
    isolation = found["isolation"]
    assert isolation["matched"] == 11
    assert [place["wins"] for place in isolation["studies"]] == [False, True]
    assert "optimizer adam wins" in isolation["sentence"]
    best = found["studies"][1]["best"]
    assert best["trial_id"] == isolation["studies"][1]["trial_id"]
    turned = ok(compare(site, *reversed(pair)))
    assert [place["wins"] for place in turned["isolation"]["studies"]] == [True, False]
    assert ok(compare(site, *pair, by="study"))["by"] == "study"


def test_figures_and_numbers_of_several_studies(site: Site, pair: tuple[int, int]) -> None:
    studies = ",".join(map(str, pair))
    for kind in KINDS:
        answer = site.get(f"/api/v1/figures/{kind}", params={"studies": studies, "theme": "light"})
        assert ok(answer)["data"], kind
        known = {"If-None-Match": answer.headers["etag"]}
        again = site.get(
            f"/api/v1/figures/{kind}", params={"studies": studies, "theme": "light"}, headers=known
        )
        assert again.status_code == 304
        columns = ok(site.get(f"/api/v1/data/{kind}", params={"studies": studies}))["columns"]
        assert set(columns["study_id"]) == set(pair)
        csv = site.get(f"/api/v1/data/{kind}", params={"studies": studies, "format": "csv"})
        assert csv.text.startswith("study_id,")
        parquet = site.get(f"/api/v1/data/{kind}", params={"studies": studies, "format": "parquet"})
        assert parquet.content.startswith(b"PAR1")
        assert f"studies-{kind}.parquet" in parquet.headers["content-disposition"]
    drawn = ok(site.get("/api/v1/figures/isolation", params={"studies": studies}))
    assert drawn["layout"]["xaxis"]["ticktext"] == ["sgd", "adam"]
    assert drawn["data"][0]["marker"]["symbol"] == ["circle", "star"]


def test_curves_of_trials_of_several_studies(site: Site, world: World, pair: tuple[int, int]) -> None:
    ids = [ok(site.get(f"/api/v1/studies/{study_id}"))["best_trial_id"] for study_id in pair]
    named = {"trials": ",".join(map(str, [*ids, world.trial]))}
    answer = site.get("/api/v1/figures/curves", params=named)
    traces = [trace["name"] for trace in ok(answer)["data"] if trace["name"] != "best step"]
    names = list(dict.fromkeys(traces))
    assert len(names) == 3
    assert all(f"of #{study_id} " in name for study_id, name in zip(pair, names, strict=False))
    rows = ok(site.get("/api/v1/data/curves", params=named))["columns"]
    assert set(rows["trial_id"]) == {*ids, world.trial}
    report = {"epoch": 1, "sequence": 1, "series": {"valid/error": {"step": [3], "value": [0.125]}}}
    ok(site.post(f"/api/v1/trials/{world.trial}:report", report, by="trial"))
    known = {"If-None-Match": answer.headers["etag"]}
    assert ok(site.get("/api/v1/figures/curves", params=named, headers=known))["data"]
    alone = ok(site.get("/api/v1/figures/curves", params={"trials": str(world.trial)}))
    assert alone["data"][0]["name"] == "valid/error"


def test_studies_that_measure_different_things_have_no_isolation(site: Site, world: World) -> None:
    ids = [
        grow(site, world, "sgd"),
        grow(site, world, "adam", objective={"metric": "valid/accuracy", "direction": "maximize"}),
    ]
    found = ok(compare(site, *ids))
    assert found["isolation"] is None
    assert found["checks"][0]["verdict"] == found["verdict"] == "fail"
    for kind in KINDS:
        for route in ("figures", "data"):
            answer = site.get(f"/api/v1/{route}/{kind}", params={"studies": ",".join(map(str, ids))})
            refused = problem(answer, 422, "invalid")
            assert refused["field"] == "studies"
            assert "measure different things" in refused["detail"]


def test_what_cannot_be_compared_is_said_by_field(site: Site, world: World, pair: tuple[int, int]) -> None:
    good = ",".join(map(str, pair))
    thirty = ",".join(map(str, range(1, 31)))
    refused: list[tuple[str, int, str]] = [
        (str(pair[0]), 422, "studies"),
        (f"{pair[0]},{pair[0]}", 422, "studies"),
        (thirty, 422, "studies"),
        (f"{pair[0]},987654321", 404, "studies"),
        (f"{pair[0]},x", 422, "studies"),
        (f"{pair[0]},{10**30}", 422, "studies"),
        ("", 422, "studies"),
        (f"{good}\x00", 422, "studies"),
    ]
    for studies, status, field in refused:
        for path in ("/api/v1/compare", "/api/v1/figures/isolation", "/api/v1/data/best-of-k"):
            answer = problem(site.get(path, params={"studies": studies}), status)
            assert answer["field"] == field, (path, studies)
            assert answer["remedy"] or status == 404
    for path in ("/api/v1/compare", "/api/v1/figures/isolation"):
        problem(site.get(path), 422)
        asked = {"studies": good, "by": "learning_rate"}
        assert problem(site.get(path, params=asked), 422)["field"] == "by"
    assert (
        problem(site.get("/api/v1/figures/isolation", params={"studies": good, "odd": "1"}), 422)["field"]
        == "odd"
    )
    assert (
        problem(site.get("/api/v1/figures/curves", params={"trials": "987654321"}), 404)["field"] == "trials"
    )
    assert problem(site.get("/api/v1/figures/curves"), 422)["field"] == "trials"
    problem(site.get("/api/v1/figures/history", params={"studies": good}), 422)


def test_comparing_needs_the_right_to_read(site: Site, pair: tuple[int, int]) -> None:
    site.tokens["writer"] = created(site.post("/api/v1/tokens", {"name": "w", "scopes": ["study:write"]}))[
        "token"
    ]
    site.tokens["gpu"] = access.create_worker_token(site.engine, name="another")
    params = {"studies": ",".join(map(str, pair))}
    for path in ("/api/v1/compare", "/api/v1/figures/isolation", "/api/v1/data/isolation"):
        problem(site.get(path, params=params, by=None), 401)
        for token in ("writer", "gpu", "trial"):
            problem(site.get(path, params=params, by=token), 403)

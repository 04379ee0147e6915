"""One use of every part of the API, in the order of a study's life."""

import base64
import math
from typing import Any

import numpy as np

from tests.api.site import DESIGN, Site, World, created, ok, problem


def test_a_study_from_its_document_to_its_end(site: Site, world: World) -> None:
    preview = ok(site.post("/api/v1/studies:preview", {"document": DESIGN, "count": 5}))
    assert len(preview["configurations"]) == 5
    assert preview["faults"] == []
    faulty = ok(site.post("/api/v1/studies:preview", {"document": {**DESIGN, "budgte": 3}, "count": 5}))
    assert faulty["configurations"] == []
    assert faulty["faults"]

    found = ok(site.get("/api/v1/studies", params={"name": "optimizer", "project": world.project}))["items"]
    assert {study["id"] for study in found} == {world.launched, world.study}
    (trial,) = ok(site.get(f"/api/v1/studies/{world.study}/trials"))["items"]
    for expression, count in ((f"optimizer = {trial['values']['optimizer']}", 1), ("state = queued", 0)):
        for path in ("trials", "export.jsonl"):
            answer = site.get(f"/api/v1/studies/{world.study}/{path}", params={"filter": expression})
            assert answer.text.count('"seed":') == count, answer.text

    trial = f"/api/v1/trials/{world.trial}"
    steps, values = np.arange(3, 1003), np.linspace(1, 0.1, 1000)
    column = {
        name: base64.b64encode(array.tobytes()).decode()
        for name, array in (("step", steps), ("value", values))
    }
    batch = {"epoch": 1, "sequence": 1, "series": {"valid/error": column}}
    assert ok(site.post(f"{trial}:report", batch, by="trial")) == {
        "points": 1000,
        "duplicate": False,
        "end": "",
    }
    lists = {
        "epoch": 1,
        "sequence": 1,
        "series": {"valid/error": {"step": steps.tolist(), "value": values.tolist()}},
    }
    assert ok(site.post(f"{trial}:report", lists, by="trial")) == {
        "points": 1000,
        "duplicate": True,
        "end": "",
    }
    ok(site.post(f"{trial}:checkpoint", {"epoch": 1, "step": 500, "uri": "/tmp/1/500.npz"}, by="trial"))
    log = {"epoch": 1, "sequence": 0, "content_base64": base64.b64encode("Époque 1\n".encode()).decode()}
    ok(site.post(f"{trial}:log", log, by="trial"))
    assert ok(site.post(f"{trial}:heartbeat", {"epoch": 1}, by="trial"))["cancel"] is False
    (curve,) = ok(site.get(f"{trial}/metrics", params={"max_points": 50}))["items"]
    assert curve["total_points"] == 1002
    assert curve["decimated"]
    assert len(curve["steps"]) == len(curve["values"]) <= 50
    assert ok(site.get(f"{trial}/log"))["content"] == "Époque 1\n"
    assert ok(site.get(f"{trial}/checkpoints"))["items"][0]["step"] == 500
    assert ok(site.get(f"/api/v1/studies/{world.study}/metrics"))["items"] == ["valid/error"]

    ended = ok(site.post(f"{trial}:finish", {"epoch": 1, "state": "completed"}, by="trial"))
    assert ended["state"] == "completed"
    assert math.isclose(ended["objective"], 0.1)
    assert ok(site.post(f"{trial}:finish", {"epoch": 1, "state": "completed"}, by="trial")) == ended
    problem(site.post(f"{trial}:finish", {"epoch": 1, "state": "failed"}, by="trial"), 409, "mismatch")
    problem(site.post(f"{trial}:heartbeat", {"epoch": 1}, by="trial"), 409, "fenced")
    assert ok(site.get(f"/api/v1/studies/{world.study}"))["best_trial_id"] == world.trial
    assert ok(site.get(f"{trial}/attempts"))["items"][0]["outcome"] == "completed"


def test_a_worker_claims_and_gives_back(site: Site, world: World) -> None:
    claim = ok(site.post(f"/api/v1/trials/{world.queued}:claim", {"host": "node"}, by="worker"))
    assert claim["template"]["argv"] == ["python", "train.py"]
    assert claim["epoch"] == 1
    assert claim["resume"] is None
    site.tokens["job"] = claim["token"]
    trial = f"/api/v1/trials/{world.queued}"
    started = ok(
        site.post(f"{trial}:start", {"epoch": 1, "host": "node", "environment": {"gpu": "H200"}}, by="job")
    )
    assert started["state"] == "running"
    beat = ok(
        site.post(f"/api/v1/workers/{world.worker}:beat", {"running": [world.queued, 999]}, by="worker")
    )
    assert beat == {"drain": False, "stop": [999], "queues": ["trials"]}
    (row,) = ok(site.get("/api/v1/workers"))["items"]
    assert [held["id"] for held in row["trials"]] == [world.queued]
    assert ok(site.post(f"{trial}:release", {"epoch": 1, "reason": "drain"}, by="job"))["state"] == "queued"
    problem(site.post(f"{trial}:heartbeat", {"epoch": 1}, by="job"), 409, "fenced")
    assert ok(site.post(f"/api/v1/workers/{world.worker}:stopped", by="worker"))["stopped_at"]


def test_a_cancelled_trial_is_told(site: Site, world: World) -> None:
    trial = f"/api/v1/trials/{world.trial}"
    assert ok(site.post(f"{trial}:cancel"))["cancel_requested_at"]
    problem(site.post(f"{trial}:heartbeat", {"epoch": 1}, by="trial"), 410, "cancelled")
    assert (
        ok(site.post(f"{trial}:finish", {"epoch": 1, "state": "stopped"}, by="trial"))["state"] == "stopped"
    )
    assert ok(site.post(f"/api/v1/trials/{world.queued}:cancel"))["state"] == "stopped"


def test_numbers_without_a_word_in_json_come_back_exactly(site: Site, world: World) -> None:
    values = ["NaN", "Infinity", "-Infinity", -0.0, 1e308, 5e-324, 0.1]
    series = {"odd": {"step": list(range(7)), "value": values}}
    batch = {"epoch": 1, "sequence": 5, "series": series}
    ok(site.post(f"/api/v1/trials/{world.trial}:report", batch, by="trial"))
    (curve,) = ok(site.get(f"/api/v1/trials/{world.trial}/metrics", params={"metric": "odd"}))["items"]
    assert curve["values"] == values
    assert math.copysign(1, curve["values"][3]) == -1


def test_figures_data_and_exports(site: Site, world: World) -> None:
    study = f"/api/v1/studies/{world.study}"
    figures: dict[str, dict[str, Any]] = {
        "axis": {"parameter": "learning_rate"},
        "history": {},
        "curves": {"best": 3},
        "trial-curves": {"trial": world.trial},
        "contour": {"x": "learning_rate", "y": "optimizer"},
        "importance": {},
        "interaction": {"parameter": "optimizer"},
        "gradient-norm": {"trial": world.trial},
        "gradient-norm-histogram": {"trial": world.trial, "threshold": 1.5},
        "timeline": {},
        "system": {"trial": world.trial, "panel": "memory"},
    }
    for kind, options in figures.items():
        answer = site.get(f"{study}/figures/{kind}", params=options)
        assert {"data", "layout"} <= ok(answer).keys()
        again = site.get(
            f"{study}/figures/{kind}", params=options, headers={"If-None-Match": answer.headers["etag"]}
        )
        assert again.status_code == 304
        assert again.content == b""
        assert ok(site.get(f"{study}/data/{kind}", params=options))["columns"]
        table = site.get(f"{study}/data/{kind}", params={**options, "format": "csv"})
        assert table.headers["content-type"].startswith("text/csv")
    csv = site.get(f"{study}/export.csv")
    assert csv.headers["content-disposition"] == f'attachment; filename="study-{world.study}.csv"'
    assert len(csv.text.splitlines()) == 2
    assert len(site.get(f"{study}/export.jsonl").text.splitlines()) == 1


def test_lists_are_paged_by_cursor(site: Site, world: World) -> None:
    for number in range(5):
        created(site.post("/api/v1/projects", {"name": f"another {number}"}))
    names: list[str] = []
    cursor = None
    while True:
        page = ok(site.get("/api/v1/projects", params={"limit": 2, **({"cursor": cursor} if cursor else {})}))
        names += [project["name"] for project in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(names) == len(set(names)) == 6
    assert names == sorted(names)
    for limit in (0, 1001, -1, "x", 10**30):
        assert problem(site.get("/api/v1/projects", params={"limit": limit}), 422)["field"] == "limit"
    assert problem(site.get("/api/v1/projects", params={"cursor": "AAAA"}), 422)["field"] == "cursor"

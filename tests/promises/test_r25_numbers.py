"""R25: NaN, the infinities, -0.0, 1e308 and subnormals come back as they were, or are refused by name."""

import asyncio
import base64
import copy
import csv
import io
import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import Engine
from starlette.responses import JSONResponse

from tests.api.site import DESIGN, HOST, Site, World, created, ok, populate
from tests.api.test_problems import bodies
from tests.live import tunebook
from tests.promises.conftest import Figures
from tests.promises.odd_numbers import STEPS, VALUES, bits, sent_and_read
from tunebook_server.domain.numbers import encode
from tunebook_server.embedded.postgres import Postgres

METRIC = "valid/error"
LARGEST = 1e300
"""The magnitude that a hyperparameter may have."""


@pytest.fixture
def site(engine: Engine) -> Iterator[Site]:
    site = Site(engine)
    yield site
    site.close()


@pytest.fixture
def world(site: Site) -> World:
    return populate(site)


@pytest.mark.parametrize("packed", [False, True], ids=["numbers", "base64"])
def test_points_come_back_bit_by_bit(site: Site, world: World, figures: Figures, packed: bool) -> None:
    trial, study = f"/api/v1/trials/{world.trial}", f"/api/v1/studies/{world.study}"
    column: dict[str, Any] = {"step": STEPS, "value": [encode(value) for value in VALUES]}
    if packed:
        column = {
            "step": base64.b64encode(np.array(STEPS, "<i8").tobytes()).decode(),
            "value": base64.b64encode(np.array(VALUES, "<f8").tobytes()).decode(),
        }
    batch = {"epoch": 1, "sequence": 7, "series": {"odd": column}}
    ok(site.post(f"{trial}:report", batch, by="trial"))
    (curve,) = ok(site.get(f"{trial}/metrics", params={"metric": "odd"}))["items"]
    assert bits(curve["values"]) == bits(VALUES)
    for number, value in enumerate(VALUES):  # what tables and exports show is the last value
        series = {"odd": {"step": [100 + number], "value": [encode(value)]}}
        batch = {"epoch": 1, "sequence": 8 + number, "series": series}
        ok(site.post(f"{trial}:report", batch, by="trial"))
        (row,) = csv.DictReader(io.StringIO(site.get(f"{study}/export.csv").text))
        assert bits([float(row["last.odd"])]) == bits([value])
        line = json.loads(site.get(f"{study}/export.jsonl").text)
        assert bits([line["last"]["odd"]]) == bits([value])
    figures(**{f"points and exports bit equal, {'base64' if packed else 'numbers'}": 3 * len(VALUES)})


def test_the_best_is_never_nan_and_a_trial_without_a_number_has_diverged(site: Site, world: World) -> None:
    trial = f"/api/v1/trials/{world.trial}"
    for sequence, value in enumerate((math.nan, math.inf, -math.inf), start=5):
        series = {METRIC: {"step": [10 + sequence], "value": [encode(value)]}}
        ok(site.post(f"{trial}:report", {"epoch": 1, "sequence": sequence, "series": series}, by="trial"))
        assert ok(site.get(trial))["objective"] == 0.25
    (claim,) = ok(site.post(f"/api/v1/studies/{world.study}/trials:ask", {"client_id": "other"}))["trials"]
    site.tokens["other"], other = claim["token"], f"/api/v1/trials/{claim['trial']['id']}"
    series = {METRIC: {"step": [1], "value": ["NaN"]}}
    ok(site.post(f"{other}:report", {"epoch": 1, "sequence": 0, "series": series}, by="other"))
    ended = ok(site.post(f"{other}:finish", {"epoch": 1, "state": "completed"}, by="other"))
    assert (ended["state"], ended["objective"]) == ("infeasible", None)
    assert "not finite" in ended["reason"]
    assert ok(site.get(f"/api/v1/studies/{world.study}"))["best_trial_id"] == world.trial


def test_configurations_and_checkpoints_keep_their_bits(site: Site, world: World, figures: Figures) -> None:
    space = [{"name": "x", "type": "float", "low": -LARGEST, "high": LARGEST}]
    design = {**DESIGN, "name": "wide", "space": space, "job": {"template": "train"}}
    study = created(site.post(f"/api/v1/projects/{world.project}/studies", design))["id"]
    kept = refused = 0
    for number, value in enumerate(VALUES):
        answer = site.post(f"/api/v1/studies/{study}/trials", {"parameters": {"x": encode(value)}})
        if abs(value) <= LARGEST:
            assert bits([created(answer)["parameters"]["x"]]) == bits([value])
            kept += 1
        else:
            assert answer.status_code == 422
            assert "x" in answer.json()["field"]
            refused += 1
        point = {"epoch": 1, "step": number, "uri": "/c", "metric": encode(value)}
        answer = site.post(f"/api/v1/trials/{world.trial}:checkpoint", point, by="trial")
        if answer.status_code == 200:
            found = ok(site.get(f"/api/v1/trials/{world.trial}/checkpoints"))["items"]
            (metric,) = (each["metric"] for each in found if each["step"] == number)
            assert bits([metric]) == bits([value])
            kept += 1
        else:
            assert answer.status_code == 422, answer.text
            refused += 1
    figures(configurations_and_checkpoints_bit_equal=kept, refused_by_name=refused)


def test_no_field_of_any_route_breaks_the_server(site: Site, world: World, figures: Figures) -> None:
    """Each number, and each word for one, in the place of each leaf of each body."""
    tried = failed = 0
    for method, path, by, body in bodies(world).values():
        for place in leaves(body):
            for value in VALUES:
                for content in (encode(value), value):
                    sent = json.dumps(put(body, place, content))  # NaN and Infinity as bare words, too
                    headers = {"Content-Type": "application/json"}
                    answer = site.request(method, path, by=by, content=sent, headers=headers)
                    tried += 1
                    failed += answer.status_code >= 500
    assert failed == 0
    figures(values_in_fields_of_all_routes=tried, answers_5xx=failed)


def test_the_sdk_sends_and_reads_them(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    with tunebook(postgres, tmp_path) as live:
        sent_and_read(live, tmp_path / "spool")
    figures(sdk_bit_equal=len(VALUES))


def test_a_plain_float_would_break_the_server(figures: Figures) -> None:
    """The control: a field of Python's own float, answered as JSON."""

    class Plain(BaseModel):
        x: float

    app = FastAPI()

    @app.post("/plain")
    def plain(body: Plain) -> JSONResponse:
        return JSONResponse({"x": body.x})

    async def statuses() -> list[int]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            return [(await client.post("/plain", json={"x": encode(value)})).status_code for value in VALUES]

    with ThreadPoolExecutor(1) as pool:  # a browser of another test may have a loop in this thread
        answered = pool.submit(lambda: asyncio.run(statuses())).result()
    broken = sum(status >= 500 for status in answered)
    assert broken == 3
    figures(control=f"plain float field: caught, {broken} answers of 500")


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        for name, inside in value.items():
            yield from leaves(inside, (*place, name))
    elif isinstance(value, list) and value:
        for number, inside in enumerate(value):
            yield from leaves(inside, (*place, number))
    elif place:
        yield place


def put(body: Any, place: tuple[Any, ...], content: Any) -> Any:
    changed = copy.deepcopy(body)
    inside = changed
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = content
    return changed

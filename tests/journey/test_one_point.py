"""One metric point from the training script to the pixel, in nine steps: the architecture as a story."""

import base64
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import text

from tests.live import Live, until
from tunebook.errors import Forbidden
from tunebook_server.domain import chunk
from tunebook_server.services import access, curves
from tunebook_server.storage.engine import Engine, transaction

STEP, LOSS = 10, 0.125
CHUNKS = """
SELECT c.* FROM metric_chunks c JOIN metrics m ON m.id = c.metric_id WHERE m.name = 'loss'
"""


@pytest.mark.browser
def test_one_point(live: Live, database: Engine, browser: Browser, tmp_path: Path) -> None:
    # 1. A training script reports a point. It knows the SDK and nothing else: no address, no token.
    shutil.copy(Path(__file__).with_name("one_point.py"), tmp_path)
    study_id = live.study(["python", "one_point.py"], folder=tmp_path)
    quiet = live.api.get(f"/studies/{study_id}")["revision"]
    with live.worker():
        trial = live.running(study_id)

        # 2. The SDK appended it to a spool on the job's own disk; report() touched no network.
        spooled = until(lambda: spool_with(live.data, b'"loss"'), "the point is in a spool")
        assert b"0.125" in spooled

        # 3. The supervisor sent the spool as a batch, with the token of this attempt: nobody else may.
        batch = {"epoch": trial["epoch"], "sequence": 9, "series": {"loss": {"step": [11], "value": [0.0]}}}
        with pytest.raises(Forbidden, match="the trial itself"):
            live.api.post(f"/trials/{trial['id']}:report", batch)

        # 4. The service wrote it in one transaction under the fence: the trial's objective came with it.
        landed = until(lambda: with_objective(live, trial["id"]), "the trial has an objective")
        assert (landed["objective"], landed["best_step"], landed["last_step"]) == (LOSS, STEP, STEP)

        # 5. Storage keeps it as one chunk: steps and values as little-endian arrays, no row per point.
        with transaction(database) as connection:
            rows = connection.execute(text(CHUNKS)).all()  # system metrics may have some by now
        assert [row.points for row in rows] == [1]
        [row] = rows
        stored = chunk.decode(row.steps, row.series, first_step=row.first_step, last_step=row.last_step)
        assert (stored.steps.tolist(), stored.values.tolist()) == ([STEP], [LOSS])

        # 6. After the commit the study's revision is higher: whoever follows the study hears of it.
        assert live.api.get(f"/studies/{study_id}")["revision"] > quiet

        # 7. A person opens the study: the page came from the server, and a <figure-view> asks for the curves.
        page = browser.new_context().new_page()
        code = access.issue_login_code(database)
        answer = page.request.post(
            f"{live.url}/api/v1/login", data={"code": code}, headers={"Origin": live.url}
        )
        assert answer.ok, answer.text()
        page.goto(f"{live.url}/studies/{study_id}")
        view = page.locator("#figure-curves")
        view.scroll_into_view_if_needed()
        expect(view).to_have_attribute("data-state", "ready")

        # 8. Its answer was read in O(pixels), computed to a curve, and drawn to Plotly's JSON.
        [curve] = curves.read(database, trial_ids=[trial["id"]], metrics=["loss"], max_points=100)
        assert (curve.steps.tolist(), curve.values.tolist(), curve.decimated) == ([STEP], [LOSS], False)
        figure = live.api.get(str(view.get_attribute("src")).removeprefix("/api/v1"))
        assert (STEP, LOSS) in points(figure["data"])

        # 9. Plotly drew it: the point stands in the figure, and a mark of it on the screen.
        drawn = view.evaluate("view => view.querySelector('.js-plotly-plot')._fullData.map(t => [...t.y])")
        assert LOSS in [value for trace in drawn for value in trace]
        box = view.locator(".scatterlayer .point, .scatterlayer path.js-line").first.bounding_box()
        assert box is not None
        page.close()
        (tmp_path / "seen").touch()
        assert [ended["state"] for ended in live.ended(study_id)] == ["completed"]


def spool_with(folder: Path, content: bytes) -> bytes | None:
    for segment in folder.rglob("events-*.log"):
        found = segment.read_bytes()
        if content in found:
            return found
    return None


def with_objective(live: Live, trial_id: int) -> dict[str, Any] | None:
    trial = live.trial(trial_id)
    return trial if trial["objective"] is not None else None


def points(traces: list[dict[str, Any]]) -> set[tuple[float, float]]:
    return {
        (float(x), float(y))
        for trace in traces
        for x, y in zip(numbers(trace.get("x", [])), numbers(trace.get("y", [])), strict=False)
    }


def numbers(column: Any) -> list[float]:
    if isinstance(column, dict):
        array = np.frombuffer(base64.b64decode(column["bdata"]), dtype=f"<{column['dtype']}")
        return [float(value) for value in array]
    return [value for value in column if isinstance(value, int | float)]

"""`study.trials()`: every trial a row, as a list, a pandas and a polars DataFrame, against a real server."""

import math
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pandas as pd
import polars as pl
import pytest

import tunebook
from tests.live import Live
from tunebook import trial_table
from tunebook.client import Client, Study

DOCUMENT = {
    "project": "tables",
    "name": "colliding",
    "objective": {"metric": "loss", "direction": "minimize", "evaluation": "last"},
    "sampler": {"name": "halton", "seed": 3},
    "budget": {"trials": 12, "parallel": 12},
    "space": [
        {"name": "number", "type": "integer", "low": 1, "high": 9},
        {"name": "state", "type": "categorical", "choices": ["<b>", "=1+1", "plain"]},
        {"name": "rate", "type": "float", "low": 0.1, "high": 1.0, "when": {"state": ["plain"]}},
        {"name": "fast", "type": "boolean"},
        {"name": "width", "type": "fixed", "value": 64},
    ],
}
KEYS = ["parameters.number", "parameters.state", "state=plain/rate", "fast", "width"]
LOSSES = [0.5, -2.0, 1e300, 5e-324, -0.0, math.nan]


@pytest.fixture(scope="module")
def client(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(live.url, live.api._token, spool=tmp_path_factory.mktemp("spool"))
    yield client
    client.close()


@pytest.fixture(scope="module")
def study(client: Client) -> Study:
    """Eight trials: five with an objective, one without a finite one, one out of memory, one that runs."""
    study = client.create(DOCUMENT)
    for loss in LOSSES:
        trial = study.ask()
        assert trial is not None
        with trial:
            trial.report(7, {"loss": loss})
    infeasible, running = study.ask(), study.ask()
    assert infeasible is not None
    assert running is not None
    infeasible.infeasible("out of memory")
    return study


def test_a_row_has_the_trial_and_every_key(client: Client, study: Study) -> None:
    rows = study.trials(frame="list")
    assert [row["number"] for row in rows] == list(range(8))
    assert {tuple(row) for row in rows} == {(*trial_table.COLUMNS, *KEYS)}
    for row, trial in zip(
        rows, client.api.get(f"/studies/{study.id}/trials?sort=number")["items"], strict=True
    ):
        assert (row["id"], row["parameters.number"]) == (trial["id"], trial["values"]["number"])
        assert row["state=plain/rate"] == trial["values"].get("state=plain/rate")
        assert (row["parameters.state"] == "plain") == (row["state=plain/rate"] is not None)
    assert [repr(row["objective"]) for row in rows] == [*map(repr, LOSSES[:5]), *["None"] * 3]
    assert [row["state"] for row in rows] == ["completed"] * 5 + ["infeasible"] * 2 + ["running"]
    first = rows[0]
    assert (first["best_step"], first["last_step"], first["width"]) == (7, 7, 64)
    assert timedelta(seconds=first["duration_seconds"]) == first["finished_at"] - first["started_at"]
    assert rows[-1]["duration_seconds"] is None


def test_the_best_trial_is_its_row(client: Client, study: Study) -> None:
    rows = study.trials(frame="list")
    assert study.best_trial == min(rows[:5], key=lambda row: row["objective"])
    assert client.create({**DOCUMENT, "name": "no trials yet"}).best_trial is None


def test_a_study_knows_its_page_and_its_state(live: Live, study: Study) -> None:
    assert study.url == f"{live.url}/studies/{study.id}"
    assert study.state == "running"
    study.edit(state="paused")
    assert study.state == "paused"
    study.edit(state="running")


def test_objects_say_what_they_are_but_no_token(live: Live, client: Client, study: Study) -> None:
    assert repr(client) == f"<Client of {live.url}>"
    assert repr(study) == f"<Study {study.id} 'colliding' at {live.url}>"
    trial = client.create({**DOCUMENT, "name": "shown"}).ask()
    assert repr(trial).startswith("<AskedTrial 0 of 'shown': {'number': ")


def test_both_kinds_of_frame_hold_the_rows(study: Study) -> None:
    rows = study.trials(frame="list")
    pandas_frame, polars_frame = study.trials(frame="pandas"), study.trials(frame="polars")
    assert isinstance(pandas_frame, pd.DataFrame)
    assert isinstance(polars_frame, pl.DataFrame)
    assert list(pandas_frame) == polars_frame.columns == list(rows[0])
    assert repr(polars_frame.rows(named=True)) == repr(rows).replace(
        "datetime.timezone.utc", "zoneinfo.ZoneInfo(key='UTC')"
    )
    for name in rows[0]:
        values = [None if pd.isna(value) else value for value in pandas_frame[name]]
        assert values == [None if row[name] is None or row[name] != row[name] else row[name] for row in rows]


def test_an_empty_frame_has_the_types_of_a_full_one(study: Study) -> None:
    for frame in ("pandas", "polars"):
        empty, full = study.trials(frame=frame, state="failed"), study.trials(frame=frame)
        own = list(trial_table.COLUMNS)
        assert len(empty) == 0
        assert list(empty.columns) == list(full.columns)
        assert list(empty[own].dtypes) == list(full[own].dtypes)


def test_pages_limits_orders_and_states(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_table, "PAGE_TRIALS", 3)
    numbers = [row["number"] for row in study.trials(frame="list")]
    assert numbers == list(range(8))
    assert [row["number"] for row in study.trials(frame="list", sort="-number", limit=4)] == [7, 6, 5, 4]
    states = {row["state"] for row in study.trials(frame="list", state=["running", "infeasible"])}
    assert states == {"running", "infeasible"}
    assert [row["number"] for row in study.trials(frame="list", filter="number >= 2", limit=5)] == [
        2,
        3,
        4,
        5,
        6,
    ]
    infeasible = study.trials(frame="list", state="infeasible", filter="reason contains memory")
    assert [row["number"] for row in infeasible] == [6]
    widths = [row["parameters.number"] for row in study.trials(frame="list", sort="parameters.number")]
    assert widths == sorted(widths)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"sort": "nothing"}, tunebook.Invalid),
        ({"state": "nothing"}, tunebook.Invalid),
        ({"filter": "nothing > 1"}, tunebook.Invalid),
        ({"limit": 0}, ValueError),
        ({"frame": "excel"}, ValueError),
    ],
)
def test_wrong_words_are_named(study: Study, wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(wrong))):
        study.trials(**wrong)


def test_what_is_not_installed_is_said_or_passed_over(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(study.trials(), pd.DataFrame)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert isinstance(study.trials(), pl.DataFrame)
    with pytest.raises(ImportError, match="pip install pandas"):
        study.trials(frame="pandas")
    monkeypatch.setitem(sys.modules, "polars", None)
    assert isinstance(study.trials(), list)
    with pytest.raises(ImportError, match="pip install polars"):
        study.trials(frame="polars")

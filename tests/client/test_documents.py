"""What a study document and a reference may be in a script, against a real server."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import tunebook
from tests.live import Live
from tunebook.client import Client

TOML = """
project = "documents"
name = "from a file"
objective = { metric = "loss" }
budget = { trials = 3 }
job = { template = "written", command = ["python", "train.py"], folder = "jobs" }
space = [{ name = "x", type = "float", low = 0.0, high = 1.0 }]
"""
SPACE = [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}]
DOCUMENT = {
    "project": "documents",
    "name": "made",
    "objective": {"metric": "loss"},
    "budget": {"trials": 3},
    "space": SPACE,
}


@pytest.fixture
def client(live: Live, tmp_path: Path) -> Iterator[Client]:
    client = Client(live.url, live.api._token, spool=tmp_path / "spool")
    yield client
    client.close()


@pytest.mark.parametrize("kind", [str, Path])
def test_a_study_is_made_from_its_file_and_its_job_runs_beside_it(
    live: Live, client: Client, tmp_path: Path, kind: type
) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "study.toml").write_text(TOML)
    study = client.create(kind(tmp_path / "study.toml"))
    assert study.name == "from a file"
    template = live.api.get(f"/studies/{study.id}")["job_template_id"]
    assert live.api.get(f"/job-templates/{template}")["folder"] == str(tmp_path / "jobs")


def test_a_file_that_is_not_there_or_no_toml_is_named(client: Client, tmp_path: Path) -> None:
    with pytest.raises(tunebook.Invalid, match=r"none\.toml cannot be read: No such file"):
        client.create(tmp_path / "none.toml")
    (tmp_path / "study.toml").write_text("= 1")
    with pytest.raises(tunebook.Invalid, match=r"study\.toml is not TOML"):
        client.create(str(tmp_path / "study.toml"))


def test_numbers_of_numpy_are_numbers(live: Live, client: Client) -> None:
    space = (
        {"name": "rate", "type": "float", "low": np.float32(0.5), "high": np.array(1.0), "scale": "log"},
        {"name": "width", "type": "categorical", "choices": 2 ** np.arange(3)},
        {"name": "fast", "type": "fixed", "value": np.bool_(True)},
    )
    budget = MappingProxyType({"trials": np.int64(7)})
    study = client.create({**DOCUMENT, "space": space, "budget": budget})
    made = live.api.get(f"/studies/{study.id}")
    assert made["budget"] == 7
    assert [made["space"][0][name] for name in ("low", "high")] == [0.5, 1.0]
    assert made["space"][1]["choices"] == [1, 2, 4]
    assert made["space"][2]["value"] is True
    study.edit(budget=np.int64(9))
    assert live.api.get(f"/studies/{study.id}")["budget"] == 9
    assert client.study(np.int64(study.id)).id == study.id


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        ({"space": [{**SPACE[0], "low": Decimal("0.1")}]}, "space.0.low", "a Decimal"),
        ({"space": [{**SPACE[0], "choices": {1, 2}}]}, "space.0.choices", "a set"),
        ({"budget": {1: 2}}, "budget", "the key 1 is no text"),
        ({"note": b"x"}, "note", "a bytes"),
        ({"budget": {"trials": dt.date(2026, 11, 21)}}, "budget.trials", "2026-11-21"),
    ],
)
def test_what_has_no_place_in_a_document_is_named(
    client: Client, changes: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(tunebook.Invalid, match=problem) as caught:
        client.create({**DOCUMENT, **changes})
    (fault,) = caught.value.faults
    assert fault["field"] == field
    assert fault["remedy"]


@pytest.mark.parametrize("wrong", [None, 7, [SPACE]])
def test_what_is_no_document_is_refused_in_words(client: Client, wrong: Any) -> None:
    with pytest.raises(tunebook.Invalid, match=r"a study document is a table.* Give a dict, or a TOML file"):
        client.create(wrong)


@pytest.mark.parametrize("wrong", [None, True, 1.0, b"name", ["name"]])
def test_what_is_neither_an_id_nor_a_name_is_refused_in_words(client: Client, wrong: Any) -> None:
    for what in ("study", "round"):
        with pytest.raises(TypeError, match=f"{what} is .*; give its id, or its name as a string"):
            getattr(client, what)(wrong)

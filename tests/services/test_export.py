import csv
import io
import json
import math

import numpy as np
import pytest
from sqlalchemy import Engine

from tests.services.making import ACTOR, make_study
from tunebook_server.domain.errors import NotFound
from tunebook_server.services import export, metrics, trials


def test_csv_has_a_row_a_trial_and_nothing_that_a_spreadsheet_runs(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    claims = trials.ask(engine, study_id=study.id, client_id="loop", count=3, actor=ACTOR)
    for claim, value in zip(claims, (0.5, math.nan, -1.5), strict=True):
        series = {
            "valid/error": (np.array([3]), np.array([value])),
            "=cmd()": (np.array([3]), np.array([1.0])),
        }
        metrics.report(
            engine, trial_id=claim.trial.id, epoch=1, sequence=0, series=series, content_hash=b"hash"
        )
    notes = ["=1+1", 'a,b\n"c"', "-0.5"]
    for claim, note in zip(claims, notes, strict=True):
        trials.edit_note(engine, trial_id=claim.trial.id, note=note, actor=ACTOR)
    content = b"".join(export.trials_csv(engine, study_id=study.id)).decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert [row["objective"] for row in rows] == ["0.5", "", "-1.5"]
    assert [row["last.valid/error"] for row in rows] == ["0.5", "NaN", "-1.5"]
    assert [row["note"] for row in rows] == ["'=1+1", notes[1], "'-0.5"]
    assert "last.=cmd()" in rows[0]
    for row, claim in zip(rows, claims, strict=True):
        located = study.space.locate(claim.trial.parameters)
        for key in study.space.keys:
            expected = located.get(key)
            assert row[f"parameters.{key}"] == ("" if expected is None else str(expected))


def test_json_lines_hold_what_json_can_and_words_for_the_rest(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    (claim,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    series = {"valid/error": (np.array([1, 2]), np.array([0.25, math.inf]))}
    metrics.report(engine, trial_id=claim.trial.id, epoch=1, sequence=0, series=series, content_hash=b"hash")
    (line,) = b"".join(export.trials_json(engine, study_id=study.id)).splitlines()
    document = json.loads(line)
    assert document["parameters"] == claim.trial.parameters
    assert document["last"] == {"valid/error": "Infinity"}
    assert (document["objective"], document["best_step"], document["state"]) == (0.25, 1, "running")


def test_a_study_of_several_portions_comes_whole(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PORTION_TRIALS", 3)
    study = make_study(engine, launched=False)
    trials.ask(engine, study_id=study.id, client_id="loop", count=8, actor=ACTOR)
    lines = b"".join(export.trials_json(engine, study_id=study.id)).splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(8))


def test_without_a_study_there_is_nothing_to_export(engine: Engine) -> None:
    for exported in (export.trials_csv, export.trials_json):
        with pytest.raises(NotFound):
            exported(engine, study_id=12345)

"""Figures of real studies: bounded, brought up to date by what changed, wrong options named."""

import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from tests.scale import build
from tests.services.making import ACTOR, make_study
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.lifecycle import Claim
from tunebook_server.domain.study import Study
from tunebook_server.services import figures, metrics, pace, studies, trial_columns, trials
from tunebook_server.storage.engine import transaction


def ask(engine: Engine, study: Study, count: int = 4) -> list[Claim]:
    return trials.ask(engine, study_id=study.id, client_id="loop", count=count, actor=ACTOR)


def report(engine: Engine, claim: Claim, value: float, *, metric: str = "valid/error", step: int = 1) -> None:
    series = {metric: (np.array([step]), np.array([value]))}
    trial_id, epoch = claim.trial.id, claim.trial.epoch
    word = f"{metric} {step} {value}".encode()
    sequence = step + (1_000 if metric != "valid/error" else 0)
    metrics.report(
        engine, trial_id=trial_id, epoch=epoch, sequence=sequence, series=series, content_hash=word
    )


def finish(engine: Engine, claim: Claim, state: str = "completed") -> None:
    trials.finish(engine, trial_id=claim.trial.id, epoch=claim.trial.epoch, state=state)


def draw(engine: Engine, study: Study, kind: str, **options: str) -> dict[str, Any]:
    drawn: dict[str, Any] = json.loads(figures.figure(engine, study_id=study.id, kind=kind, options=options))
    return drawn


def version(engine: Engine, study: Study, kind: str, **options: str) -> str:
    return figures.prepare(engine, study_id=study.id, kind=kind, options=options).version


def test_a_figure_follows_what_changed(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    empty = draw(engine, study, "history")
    assert "wanted (0 of 2)" in empty["layout"]["annotations"][0]["text"]
    claims = ask(engine, study)
    for place, claim in enumerate(claims):
        report(engine, claim, 0.5 - place / 10)
    names = {trace["name"] for trace in draw(engine, study, "history")["data"]}
    assert names == {"running"}
    for claim in claims:
        finish(engine, claim)
    names = {trace["name"] for trace in draw(engine, study, "history")["data"]}
    assert names == {"best so far", "feasible", "best 3"}


def test_a_version_changes_exactly_when_the_figure_does(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    claim = ask(engine, study, 1)[0]
    report(engine, claim, 0.5)
    axis, curves = version(engine, study, "axis", parameter="optimizer"), version(engine, study, "curves")
    report(engine, claim, 0.7, metric="train/error")
    assert version(engine, study, "axis", parameter="optimizer") == axis
    assert version(engine, study, "curves") != curves
    report(engine, claim, 0.4, step=2)
    assert version(engine, study, "axis", parameter="optimizer") != axis


def test_columns_kept_and_columns_read_anew_are_the_same(engine: Engine) -> None:
    study = make_study(engine, launched=False, budget=60)
    for turn in range(5):
        claims = trials.ask(engine, study_id=study.id, client_id=f"loop {turn}", count=6, actor=ACTOR)
        for place, claim in enumerate(claims):
            report(engine, claim, 1 / (turn + place + 1))
            if place % 3:
                finish(engine, claim, "infeasible" if place == 4 else "completed")
        current = studies.get(engine, study_id=study.id)
        kept = trial_columns.read(engine, current)
        anew = trial_columns._read(engine, current, trial_columns._Kept(), None)
        assert kept.version == anew.version
        assert len(kept.columns) == 6 * (turn + 1)
    assert trial_columns.read(engine, current) is kept


def test_a_restored_database_is_read_from_the_start(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    for claim in ask(engine, study):
        report(engine, claim, 0.5)
        finish(engine, claim)
    before = version(engine, study, "history")
    with transaction(engine) as connection:
        connection.execute(text("UPDATE studies SET revision = 1"))
        connection.execute(text("UPDATE trials SET objective = 0.1, changed_at = now() - interval '1 year'"))
    assert version(engine, study, "history") != before


def test_ten_thousand_trials_cost_one_bounded_figure(engine: Engine) -> None:
    study_id = build(engine, trials=10_000, points=10)
    study = studies.get(engine, study_id=study_id)
    for kind, options in (("axis", {"parameter": "weight_decay"}), ("history", {}), ("curves", {})):
        drawn = figures.figure(engine, study_id=study_id, kind=kind, options=options)
        assert len(drawn) < 100_000
    columns = figures.table(engine, study_id=study_id, kind="axis", options={"parameter": "optimizer"})
    assert len(columns["number"]) == 10_000
    assert set(columns["optimizer"]) == {"nesterov", "adam"}
    assert set(columns["state"]) == {"completed", "infeasible"}
    assert columns["valid/error"].count(None) == study.counts["infeasible"]
    assert pace.seconds_left(engine, study=study) is None


def test_curves_are_of_the_best_or_of_those_named(engine: Engine) -> None:
    study_id = build(engine, trials=48, points=20)
    study = studies.get(engine, study_id=study_id)
    best = draw(engine, study, "curves", best="3")
    shown = {trace["meta"]["trial"] for trace in best["data"]}
    assert len(shown) == 3
    assert study.best_trial_id in shown
    ids = [row.trial.id for row in trials.page(engine, study_id=study_id, sort="number", limit=2).items]
    named = draw(engine, study, "curves", trials=",".join(map(str, ids)), family="loss")
    assert {trace["meta"]["trial"] for trace in named["data"]} == set(ids)
    assert named["layout"]["yaxis"]["title"]["text"].startswith("loss")
    rows = figures.table(engine, study_id=study_id, kind="trial-curves", options={"trial": str(ids[0])})
    assert set(rows["metric"]) == {"train/error", "valid/error"}
    assert len(rows["step"]) == 40


@pytest.mark.parametrize(
    ("kind", "options", "field"),
    [
        ("axis", {}, "parameter"),
        ("axis", {"parameter": "optimizer", "clip": "perhaps"}, "clip"),
        ("axis", {"parameter": "optimizer", "first": "nan", "last": "1"}, "first"),
        ("axis", {"parameter": "optimizer", "first": "2", "last": "1"}, "first"),
        ("axis", {"parameter": "batch_size"}, "parameter"),
        ("axis", {"parameter": "x" * 5_000}, "parameter"),
        ("axis", {"parameter": "optimizer", "colour": "red"}, "colour"),
        ("history", {"theme": "pink"}, "theme"),
        ("curves", {"best": "0"}, "best"),
        ("curves", {"trials": "1,two"}, "trials"),
        ("curves", {"trials": ",".join(map(str, range(1, 999)))}, "trials"),
        ("trial-curves", {}, "trial"),
        ("trial-curves", {"trial": "1e9"}, "trial"),
    ],
)
def test_wrong_options_are_named(engine: Engine, kind: str, options: dict[str, str], field: str) -> None:
    study = make_study(engine, launched=False)
    with pytest.raises(Invalid) as caught:
        figures.figure(engine, study_id=study.id, kind=kind, options=options)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("pie", {}),
        ("axis", {"parameter": "learning_rat"}),
        ("curves", {"trials": "987654321"}),
        ("curves", {"family": "loss"}),
    ],
)
def test_what_is_not_there_is_not_found(engine: Engine, kind: str, options: dict[str, str]) -> None:
    study = make_study(engine, launched=False)
    with pytest.raises(NotFound):
        figures.figure(engine, study_id=study.id, kind=kind, options=options)


def test_the_time_left_comes_from_the_trials_that_ended_last(engine: Engine) -> None:
    study_id = build(engine, trials=40, points=5, running=2)
    left = pace.seconds_left(engine, study=studies.get(engine, study_id=study_id))
    assert left == pytest.approx(2.6 * 10 / 2, rel=0.2)

"""Figures of what the results mean, of real studies: versions, options, tables."""

import json

import numpy as np
import pytest
from sqlalchemy import Engine, text

from tests.scale import build
from tests.services.making import make_study
from tests.services.test_figures import ask, draw, finish, report, version
from tunebook_server.domain.errors import Invalid, NotFound
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.services import figures, studies
from tunebook_server.storage.engine import transaction

ADAM = "optimizer=adam/learning_rate"
OPTIONS = {
    "importance": {},
    "contour": {"x": ADAM, "y": "weight_decay"},
    "interaction": {"parameter": "optimizer"},
    "timeline": {},
}


def test_ten_thousand_trials_give_bounded_figures_and_whole_tables(engine: Engine) -> None:
    study_id = build(engine, trials=10_000, points=10)
    for kind, options in OPTIONS.items():
        drawn = figures.figure(engine, study_id=study_id, kind=kind, options=options)
        assert len(drawn) < 150_000, kind
        assert json.loads(drawn)["data"], kind
    note = draw(engine, studies.get(engine, study_id=study_id), "timeline")["layout"]["meta"]["notes"]
    assert note == ["The newest 500 of 10,000 attempts shown."]
    table = figures.table(engine, study_id=study_id, kind="importance", options={})
    assert set(table["hyperparameter"][:2]) == {ADAM, "optimizer=nesterov/learning_rate"}
    assert table["importance"] == sorted(table["importance"], reverse=True)  # type: ignore[type-var]
    for kind, options in OPTIONS.items():
        columns = figures.table(engine, study_id=study_id, kind=kind, options=options)
        assert len({len(column) for column in columns.values()}) == 1, kind
        assert all(columns.values()), kind
    assert (
        len(figures.table(engine, study_id=study_id, kind="timeline", options={"limit": "7"})["number"]) == 7
    )


def test_a_scientific_number_is_compared_by_its_values(engine: Engine) -> None:
    space = SearchSpace.parse(
        [
            {"name": "layers", "type": "integer", "low": 1, "high": 3, "role": "scientific"},
            {"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
        ]
    )
    study = make_study(engine, launched=False, space=space, budget=90, parallel=90)
    for claim in ask(engine, study, 90):
        values = claim.trial.parameters
        best = {1: 1e-3, 2: 1e-2, 3: 1e-1}[int(values["layers"])]
        report(engine, claim, 0.1 + abs(float(np.log10(float(values["rate"]) / best))))
        finish(engine, claim)
    table = figures.table(engine, study_id=study.id, kind="interaction", options={"parameter": "layers"})
    assert table["layers"] == ["1", "2", "3"]
    assert set(table["conclusion"]) == {"moves"}
    assert table["centre"] == pytest.approx([0.25, 0.5, 0.75], abs=0.12)


def test_a_timeline_follows_its_attempts(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    empty = version(engine, study, "timeline")
    assert draw(engine, study, "timeline")["data"] == []
    claims = ask(engine, study, 2)
    live = version(engine, study, "timeline")
    assert live != empty
    assert [trace["name"] for trace in draw(engine, study, "timeline")["data"]] == ["running"]
    for claim in claims:
        report(engine, claim, 0.5)
        finish(engine, claim)
    ended = version(engine, study, "timeline")
    assert ended != live
    assert ended == version(engine, study, "timeline")
    (bars,) = draw(engine, study, "timeline")["data"]
    assert (bars["name"], [row[1] for row in bars["customdata"]]) == ("completed", [0, 1])
    assert all(length >= 0 for length in bars["x"])


def test_times_are_utc_whatever_zone_the_database_has(engine: Engine) -> None:
    study_id = build(engine, trials=3, points=5)
    before = figures.table(engine, study_id=study_id, kind="timeline", options={})
    with transaction(engine) as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET timezone TO 'Asia/Tokyo'"))
    engine.dispose()
    assert figures.table(engine, study_id=study_id, kind="timeline", options={}) == before
    assert str(before["claimed_at"][0]).endswith("Z")


@pytest.mark.parametrize("metric", ["train/grad_norm", "Gradient-Norm", "opt/global_grad_norm", "grad.norm"])
def test_a_gradient_norm_is_known_by_its_name(engine: Engine, metric: str) -> None:
    study = make_study(engine, launched=False)
    claim = ask(engine, study, 1)[0]
    options = {"trial": str(claim.trial.id)}
    report(engine, claim, 0.5)
    report(engine, claim, 0.3, metric="norm_of_weights", step=50)
    before = version(engine, study, "gradient-norm", **options)
    without = draw(engine, study, "gradient-norm", **options)
    assert "no gradient norm" in without["layout"]["annotations"][0]["text"]
    for step in range(12):
        report(engine, claim, 1.0 + step, metric=metric, step=step)
    assert version(engine, study, "gradient-norm", **options) != before
    for kind in ("gradient-norm", "gradient-norm-histogram"):
        drawn = draw(engine, study, kind, **options, threshold="7")
        assert "changes 42% of the steps" in drawn["layout"]["meta"]["notes"][0]
    table = figures.table(engine, study_id=study.id, kind="gradient-norm", options=options)
    assert table["gradient_norm"] == [1.0 + step for step in range(12)]


@pytest.mark.parametrize(
    ("kind", "options", "field"),
    [
        ("contour", {}, "x"),
        ("contour", {"x": "learning_rate"}, "y"),
        ("contour", {"x": "learning_rate", "y": "learning_rate"}, "y"),
        ("contour", {"x": "learning_rate", "y": "batch_size"}, "y"),
        ("interaction", {}, "parameter"),
        ("interaction", {"parameter": "learning_rate"}, "parameter"),
        ("importance", {"parameter": "optimizer"}, "parameter"),
        ("gradient-norm", {}, "trial"),
        ("gradient-norm-histogram", {"trial": "one"}, "trial"),
        ("timeline", {"best": "3"}, "best"),
    ],
)
def test_wrong_options_are_named(engine: Engine, kind: str, options: dict[str, str], field: str) -> None:
    study = make_study(engine, launched=False)
    with pytest.raises(Invalid) as caught:
        figures.figure(engine, study_id=study.id, kind=kind, options=options)
    assert caught.value.field == field


@pytest.mark.parametrize("threshold", ["0", "-1", "nan", "inf", "high"])
def test_a_threshold_is_a_number_above_zero(engine: Engine, threshold: str) -> None:
    study = make_study(engine, launched=False)
    trial = str(ask(engine, study, 1)[0].trial.id)
    with pytest.raises(Invalid) as caught:
        draw(engine, study, "gradient-norm", trial=trial, threshold=threshold)
    assert caught.value.field == "threshold"


@pytest.mark.parametrize("kind", ["gradient-norm", "gradient-norm-histogram"])
def test_a_trial_of_another_study_is_not_found(engine: Engine, kind: str) -> None:
    study, other = make_study(engine, launched=False), make_study(engine, launched=False)
    trial = str(ask(engine, other, 1)[0].trial.id)
    with pytest.raises(NotFound):
        draw(engine, study, kind, trial=trial)

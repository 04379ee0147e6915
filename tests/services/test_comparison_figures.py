"""Isolation, slice, best steps, distribution and parallel coordinates over studies of every size."""

import io
import json
from collections.abc import Mapping

import numpy as np
import pytest
from pyarrow import parquet
from sqlalchemy import Engine

from tests.scale import build
from tests.services.making import ACTOR, make_study
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import TrialState
from tunebook_server.services import export, figures, metrics, trials
from tunebook_server.services.comparison_figures import KINDS

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "isolation": {"parameter": "optimizer"},
    "slice": {"parameter": "weight_decay", "by": "optimizer"},
    "best-steps": {},
    "distribution": {"by": "optimizer"},
    "parallel": {},
}
MARKS_MOST = 60_000  # coordinates of a figure: lines of the parallel one have one an axis


def drawn(engine: Engine, study_id: int, kind: str, **options: str) -> dict[str, object]:
    import plotly.graph_objects as go

    content: dict[str, object] = json.loads(
        figures.figure(engine, study_id=study_id, kind=kind, options={**options, "theme": "light"})
    )
    go.Figure(content)  # checked by Plotly's schema
    assert len(json.dumps(content)) < 12 * MARKS_MOST
    return content


@pytest.mark.parametrize("count", [0, 1, 48, 10_000])
def test_each_kind_draws_a_study_of_any_size(engine: Engine, count: int) -> None:
    study_id = build(engine, trials=count, points=10)
    assert set(OPTIONS) == set(KINDS)
    for kind, options in OPTIONS.items():
        content = drawn(engine, study_id, kind, **options)
        if count >= 48:
            assert content["data"], kind
        columns = figures.table(engine, study_id=study_id, kind=kind, options=options)
        assert len({len(column) for column in columns.values()}) == 1, kind


@pytest.mark.parametrize("infeasible", [True, False])
def test_hostile_names_one_value_and_nothing_feasible(engine: Engine, infeasible: bool) -> None:
    hostile = "<img src=x onerror=alert(1)>%{y}"
    space = SearchSpace.parse(
        [
            {"name": "kind", "type": "categorical", "choices": [hostile, "b"], "role": "scientific"},
            {"name": "rate", "type": "float", "low": 0.1, "high": 1.0},
        ]
    )
    study = make_study(
        engine, launched=False, space=space, budget=12, parallel=12, objective=Objective(hostile)
    )
    for place, claim in enumerate(
        trials.ask(engine, study_id=study.id, client_id="c", count=12, actor=ACTOR)
    ):
        steps = np.array([1, 2])
        series = {hostile: (steps, np.array([1.0 + place, 0.5 + place]))}
        metrics.report(engine, trial_id=claim.trial.id, epoch=1, sequence=0, series=series, content_hash=b"h")
        state = TrialState.INFEASIBLE if infeasible else TrialState.COMPLETED
        trials.finish(engine, trial_id=claim.trial.id, epoch=1, state=state)
    for kind, options in OPTIONS.items():
        chosen = {name: {"optimizer": "kind", "weight_decay": "rate"}[key] for name, key in options.items()}
        text = json.dumps(drawn(engine, study.id, kind, **chosen))
        assert "<img" not in text, kind
        assert "%{y}" not in text.replace("%{y}%", ""), kind


def test_what_cannot_be_drawn_is_said_by_name(engine: Engine) -> None:
    study_id = build(engine, trials=10, points=10)
    for kind, options, field in (
        ("slice", {"parameter": "optimizer"}, "parameter"),
        ("isolation", {"parameter": "nothing"}, "key"),
        ("isolation", {"parameter": "batch_size"}, "parameter"),
    ):
        with pytest.raises(Exception) as refused:
            figures.figure(engine, study_id=study_id, kind=kind, options=options)
        assert getattr(refused.value, "field", "") == field


def test_numbers_as_parquet(engine: Engine) -> None:
    study_id = build(engine, trials=30, points=10)
    columns = figures.table(engine, study_id=study_id, kind="history", options={})
    read = parquet.read_table(io.BytesIO(export.table_parquet(columns))).to_pydict()
    assert read == {name: list(column) for name, column in columns.items()}
    odd: dict[str, list[float | int | str | bool | None]] = {
        "a": [1.5, "NaN", None],
        "b": ["x", "NaN", None],
        "c": [1, 2, None],
        "d": [True, None, False],
    }
    again = parquet.read_table(io.BytesIO(export.table_parquet(odd))).to_pydict()
    assert str(again["a"]) == "[1.5, nan, None]"
    assert (again["b"], again["c"], again["d"]) == (odd["b"], odd["c"], odd["d"])


def test_parquet_without_its_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(Invalid, match="pyarrow is missing"):
        export.table_parquet({"a": [1]})

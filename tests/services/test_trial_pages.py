"""The table of trials: every order comes page by page, each trial once, what is missing last."""

import math
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.services.making import ACTOR, make_study
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import Configuration
from tunebook_server.services import trials
from tunebook_server.services.trial_pages import TrialRow
from tunebook_server.storage.engine import transaction

OBJECTIVES = [0.5, None, -1.5, 0.5, None, 1e308, 5e-324, 0.0, 0.1, 0.30000000000000004]
LAST = [float("nan"), 1.0, float("inf"), None, -2.0, float("nan"), None, float("-inf"), 0.5, 0.25]
ORDERS = [
    "number",
    "objective",
    "state",
    "best_step",
    "last_step",
    "attempts",
    "duration",
    "worker",
    "created_at",
    "started_at",
    "finished_at",
    "parameters.learning_rate",
    "parameters.optimizer",
    "parameters.optimizer=sgd/momentum",
    "parameters.batch_size",
    "last.train/loss",
    "last.never reported",
]


@pytest.fixture
def study(engine: Engine) -> Study:
    """Ten trials: some with an objective, some with NaN as their last loss, half of them conditional."""
    study = make_study(engine, launched=False)
    made = []
    for number in range(10):
        parameters: Configuration = {"optimizer": "adam", "learning_rate": 0.1, "batch_size": 64}
        if number % 2:
            parameters = {**parameters, "optimizer": "sgd", "momentum": 0.1 * number % 0.5}
        made.append(trials.enqueue(engine, study_id=study.id, parameters=parameters, actor=ACTOR).id)
    with transaction(engine) as connection:
        for trial_id, objective, last in zip(made, OBJECTIVES, LAST, strict=True):
            values = {"id": trial_id, "objective": objective, "last": last, "study": study.id}
            connection.execute(
                text("UPDATE trials SET objective = :objective, last_step = id % 3 WHERE id = :id"), values
            )
            if last is not None:
                connection.execute(text(_CURVE), values)
    return study


_CURVE = """
WITH metric AS (
    INSERT INTO metrics (study_id, name) VALUES (:study, 'train/loss')
    ON CONFLICT (study_id, name) DO UPDATE SET name = excluded.name RETURNING id
)
INSERT INTO curves (trial_id, metric_id, epoch, points, first_step, last_step, last_value)
SELECT :id, id, 1, 1, 0, 0, :last FROM metric
"""


def read(engine: Engine, study: Study, limit: int, **options: Any) -> list[TrialRow]:
    """All rows, page by page."""
    rows: list[TrialRow] = []
    cursor = None
    while True:
        page = trials.page(engine, study_id=study.id, limit=limit, cursor=cursor, **options)
        assert len(page.items) <= limit
        rows += page.items
        cursor = page.next
        if cursor is None:
            return rows


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("descending", ["", "-"])
def test_pages_join_to_the_whole_order(engine: Engine, study: Study, order: str, descending: str) -> None:
    whole = [row.trial.number for row in read(engine, study, 1000, sort=descending + order)]
    assert sorted(whole) == list(range(10))
    for limit in (1, 3, 10):
        assert [row.trial.number for row in read(engine, study, limit, sort=descending + order)] == whole


def test_missing_objectives_come_last_in_both_directions(engine: Engine, study: Study) -> None:
    for sort, wanted in (("objective", sorted), ("-objective", lambda found: sorted(found, reverse=True))):
        found = [row.trial.objective for row in read(engine, study, 3, sort=sort)]
        assert found[-2:] == [None, None]
        assert found[:-2] == wanted([value for value in OBJECTIVES if value is not None])


def test_nan_sorts_above_every_number(engine: Engine, study: Study) -> None:
    found = [LAST[row.trial.number] for row in read(engine, study, 2, sort="last.train/loss")]
    numbers = [value for value in found if value is not None and not math.isnan(value)]
    assert numbers == sorted(numbers)
    assert [value is None for value in found] == [False] * 8 + [True] * 2
    assert all(value is not None and math.isnan(value) for value in found[6:8])


def test_conditional_values_stand_under_their_keys(engine: Engine, study: Study) -> None:
    rows = read(engine, study, 100, sort="parameters.optimizer=sgd/momentum")
    values = [row.values.get("optimizer=sgd/momentum") for row in rows]
    assert [value is None for value in values] == [False] * 5 + [True] * 5
    assert values[:5] == sorted(value for value in values[:5] if isinstance(value, float))


def test_states_and_a_filter(engine: Engine, study: Study) -> None:
    sgd = read(engine, study, 2, expression="optimizer = sgd")
    assert {row.trial.parameters["optimizer"] for row in sgd} == {"sgd"}
    assert len(sgd) == 5
    assert read(engine, study, 5, states=["completed"]) == []
    assert len(read(engine, study, 5, states=["queued", "completed"])) == 10
    assert read(engine, study, 5, states=["completed"], expression="optimizer = sgd") == []
    found = read(engine, study, 5, expression="valid/error >= 0.5", sort="-objective")
    assert [row.trial.objective for row in found] == [1e308, 0.5, 0.5]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sort": "colour"},
        {"sort": ""},
        {"sort": "parameters.momentum"},
        {"sort": "parameters.'; DROP TABLE trials"},
        {"sort": "last."},
        {"sort": "last.\x00"},
        {"states": ["lost"]},
        {"limit": 0},
        {"limit": 1001},
        {"expression": "colour = red"},
        {"expression": "optimizer = '\x00'"},
        {"cursor": ""},
        {"cursor": "x"},
        {"cursor": "é"},
        {"cursor": "W10"},
        {"cursor": "bnVsbA"},
    ],
)
def test_wrong_words_are_refused(engine: Engine, study: Study, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        trials.page(engine, study_id=study.id, **wrong)


def test_a_cursor_belongs_to_its_order(engine: Engine, study: Study) -> None:
    first = trials.page(engine, study_id=study.id, sort="number", limit=2)
    with pytest.raises(Invalid, match="another order"):
        trials.page(engine, study_id=study.id, sort="-number", limit=2, cursor=first.next)


def test_a_page_does_not_move_when_trials_are_added(engine: Engine, study: Study) -> None:
    first = trials.page(engine, study_id=study.id, sort="-number", limit=4)
    trials.enqueue(engine, study_id=study.id, actor=ACTOR)
    second = trials.page(engine, study_id=study.id, sort="-number", limit=4, cursor=first.next)
    assert [row.trial.number for row in second.items] == [5, 4, 3, 2]

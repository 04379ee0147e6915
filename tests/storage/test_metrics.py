from typing import Any, ClassVar, Self

import numpy as np
import psycopg
import pytest
from sqlalchemy import Engine, event

from tests.services.making import ACTOR, make_study
from tunebook_server.domain.objective import Objective
from tunebook_server.services import metrics, trials
from tunebook_server.storage import metrics as storage


@pytest.fixture
def trial_id(engine: Engine) -> int:
    study = make_study(engine, launched=False, objective=Objective("loss"))
    (claim,) = trials.ask(engine, study_id=study.id, client_id="loop", actor=ACTOR)
    return claim.trial.id


def report(engine: Engine, trial_id: int, sequence: int, series_count: int, sign: float = -1.0) -> None:
    steps = np.arange(10 * sequence, 10 * sequence + 10)
    series = {
        "loss" if place == 0 else f"metric {place}": (steps, sign * steps.astype(np.float64))
        for place in range(series_count)
    }
    metrics.report(engine, trial_id=trial_id, epoch=1, sequence=sequence, series=series, content_hash=b"hash")


class Counted(psycopg.Cursor[Any]):
    """Knows what was executed, through SQLAlchemy or past it."""

    statements: ClassVar[list[str]] = []

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Self:
        self.statements.append(str(query))
        return super().execute(query, *arguments, **options)


@pytest.fixture
def statements(engine: Engine) -> list[str]:
    def count(dbapi_connection: psycopg.Connection[Any], *_: object) -> None:
        dbapi_connection.cursor_factory = Counted

    event.listen(engine, "checkout", count)
    Counted.statements = []
    return Counted.statements


@pytest.mark.parametrize("series_count", [1, 300])
def test_a_batch_takes_few_statements_however_many_series_it_has(
    engine: Engine, trial_id: int, series_count: int, statements: list[str]
) -> None:
    report(engine, trial_id, 0, series_count)
    statements.clear()
    report(engine, trial_id, 1, series_count)
    assert 1 <= len(statements) <= 5


@pytest.mark.parametrize("series_count", [1, 300])
def test_a_batch_that_continues_its_curves_takes_one(
    engine: Engine, trial_id: int, series_count: int, statements: list[str]
) -> None:
    report(engine, trial_id, 0, series_count)
    statements.clear()
    report(engine, trial_id, 1, series_count, sign=1.0)
    assert len(statements) == 1


def test_evenly_spaced_steps_are_not_stored(engine: Engine, trial_id: int) -> None:
    report(engine, trial_id, 0, 1)
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT length(steps), length(series), points, first_step, last_step FROM metric_chunks"
        ).one()
    assert tuple(row) == (0, 80, 10, 0, 9)


def test_names_get_one_id_each_also_when_two_transactions_add_them(engine: Engine, trial_id: int) -> None:
    study_id = trials.get(engine, trial_id=trial_id).study_id
    with engine.begin() as connection:
        first = storage.add_names(connection, study_id=study_id, names=("b", "a"))
        again = storage.add_names(connection, study_id=study_id, names=("a", "c", "b"))
    assert (again[2], again[0]) == first
    assert len(set(again)) == 3

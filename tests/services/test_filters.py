"""Filters in Postgres: they find exactly the trials that plain Python finds."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from sqlalchemy import Engine

from tests.domain.filters import METRIC, NUMBERS, SPACE, TEXTS, TIMES, filters, holds, written
from tests.services.making import ACTOR, make_study, make_worker
from tests.services.test_trial_pages import read
from tunebook_server.domain.errors import Invalid
from tunebook_server.domain.filters.tree import TRIAL_FIELDS, Filter
from tunebook_server.domain.objective import Objective
from tunebook_server.domain.study import Study
from tunebook_server.domain.trial import ENDED, HELD, TrialState
from tunebook_server.services import studies, trials
from tunebook_server.services.trial_pages import TrialRow
from tunebook_server.storage import tables
from tunebook_server.storage.engine import transaction

TRIALS = 120


def grow(engine: Engine) -> Study:
    """A study whose trials hold every kind of value, and lack every kind."""
    study = make_study(engine, space=SPACE, objective=Objective(METRIC), budget=TRIALS)
    workers = [None, make_worker(engine), make_worker(engine)]
    rows = [_row(study.id, number, random.Random(number), workers) for number in range(TRIALS)]
    with transaction(engine) as connection:
        connection.execute(tables.trials.insert(), rows)
    return studies.get(engine, study_id=study.id)


def _row(study_id: int, number: int, draw: random.Random, workers: list[int | None]) -> dict[str, Any]:
    state = draw.choice(list(TrialState))
    started, finished = draw.choice([None, *TIMES]), draw.choice(TIMES)
    parameters = SPACE.from_unit([draw.random() for _ in SPACE.dimensions])
    if draw.random() < 0.1:
        parameters.pop(draw.choice(list(parameters)))
    numbers = [value for value in NUMBERS if value == value]
    return {
        "study_id": study_id,
        "number": number,
        "space_version": 1,
        "state": state.value,
        "epoch": 1,
        "seed": number,
        "parameters": parameters,
        "worker_id": draw.choice(workers),
        "attempts": draw.randrange(4),
        "note": draw.choice(["", *TEXTS]),
        "reason": draw.choice(["", *TEXTS]),
        "objective": draw.choice([None, *numbers]),
        "best_step": draw.choice([None, 0, 1, 64]),
        "last_step": draw.choice([None, 2, 3]),
        "created_at": draw.choice(TIMES),
        "started_at": started and started + timedelta(microseconds=draw.randrange(3)),
        "finished_at": finished if state in ENDED else None,
        "lease_expires_at": datetime(2100, 1, 1, tzinfo=UTC) if state in HELD else None,
    }


def values(row: TrialRow) -> dict[tuple[bool, str], Any]:
    """Of one trial, by (is a hyperparameter?, name)."""
    trial = row.trial
    found: dict[tuple[bool, str], Any] = dict.fromkeys(
        (True, parameter.name) for parameter in SPACE.parameters
    )
    found |= {(True, key): row.values.get(key) for key in SPACE.keys}
    for parameter in SPACE.active(trial.parameters):
        found[True, parameter.name] = row.values.get(SPACE.key(parameter))
    for name in set(TRIAL_FIELDS) - {"duration", "worker"}:
        found[False, name] = getattr(trial, name)
    found[False, "worker"] = row.worker
    ended = trial.finished_at and trial.started_at
    found[False, "duration"] = (trial.finished_at - trial.started_at).total_seconds() if ended else None  # type: ignore[operator]
    return {name: None if value == "" and not name[0] else value for name, value in found.items()}


def test_postgres_finds_what_plain_python_finds(engine: Engine) -> None:
    study = grow(engine)
    everything = [(row.trial.number, values(row)) for row in read(engine, study, 1000, sort="number")]
    assert len(everything) == TRIALS

    @given(filters())
    def same(tree: Filter) -> None:
        expression = written(tree)
        wanted = [number for number, found in everything if holds(tree, found)]
        rows = read(engine, study, 1000, sort="number", expression=expression)
        assert [row.trial.number for row in rows] == wanted
        assert trials.count(engine, study=study, expression=expression) == len(wanted)
        in_state = [row for row in rows if row.trial.state is TrialState.QUEUED]
        assert trials.count(engine, study=study, states=["queued"], expression=expression) == len(in_state)

    same()


def test_a_missing_value_is_neither_equal_nor_unequal(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    for optimizer in ("sgd", "adam"):
        parameters = {"optimizer": optimizer, "learning_rate": 0.1, "batch_size": 64}
        trials.enqueue(
            engine,
            study_id=study.id,
            parameters=parameters | ({"momentum": 0.9} if optimizer == "sgd" else {}),
            actor=ACTOR,
        )

    def found(expression: str) -> list[int]:
        return [row.trial.number for row in read(engine, study, 10, sort="number", expression=expression)]

    assert found('"optimizer=sgd/momentum" = 0.9') == [0]
    assert found('"optimizer=sgd/momentum" != 0.5') == [0]
    assert found('not "optimizer=sgd/momentum" = 0.5') == [0, 1]
    assert found('"optimizer=sgd/momentum" is none') == [1]
    assert found("duration > 0 or duration <= 0") == []


@pytest.mark.parametrize(
    "text", [*TEXTS, "%", "_", "'; DROP TABLE trials; --", "%(x)s", ":x", "\u202e", "\U0010ffff"]
)
def test_hostile_texts_are_found_as_they_are(engine: Engine, text: str) -> None:
    study = make_study(engine, launched=False)
    for note in ("nothing", f"before {text} after"):
        trial = trials.enqueue(engine, study_id=study.id, actor=ACTOR)
        trials.edit_note(engine, trial_id=trial.id, note=note, actor=ACTOR)
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    wanted = [0, 1] if text in "nothing" else [1]
    rows = read(engine, study, 10, sort="number", expression=f"note contains {quoted}")
    assert [row.trial.number for row in rows] == wanted
    assert read(engine, study, 10, expression=f"note = {quoted}") == []


def test_values_at_the_ends_of_their_types_are_no_error(engine: Engine) -> None:
    study = make_study(engine, launched=False)
    trials.enqueue(engine, study_id=study.id, actor=ACTOR)
    for expression, count in (
        ('created_at > "0001-01-01" and created_at < "9999-12-31T23:59:59.999999"', 1),
        ('created_at > "0001-01-01T00:00-14:00"', 1),
        ("number in (1.7976931348623157e308, 0, NaN, Infinity)", 1),
        ("number = 1e-400", 1),
        ("attempts < 9223372036854775808", 1),
        ("learning_rate < -Infinity", 0),
        (f"number in ({', '.join(['1'] * 600)})", 0),
        (" or ".join(["not " * 20 + "number = 1"] * 20), 0),
    ):
        assert trials.count(engine, study=study, expression=expression) == count, expression


@pytest.mark.parametrize("sort", ["number", "-objective", "duration", "-worker", "parameters.width"])
def test_pages_of_a_filter_join_to_the_whole(engine: Engine, sort: str) -> None:
    study = grow(engine)
    wanted: dict[str, Any] = {"sort": sort, "expression": 'not note contains "a" and attempts < 3'}
    whole = [row.trial.number for row in read(engine, study, 1000, **wanted)]
    assert 10 < len(whole) < TRIALS
    for limit in (1, 7):
        assert [row.trial.number for row in read(engine, study, limit, **wanted)] == whole
    first = trials.page(engine, study_id=study.id, limit=2, **wanted)
    for other in ({"expression": "attempts < 3"}, {"states": ["queued"]}, {"sort": "attempts"}):
        with pytest.raises(Invalid, match="the cursor"):
            trials.page(engine, study_id=study.id, cursor=first.next, **{**wanted, **other})

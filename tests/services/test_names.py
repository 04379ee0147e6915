"""A name that two people want at the same moment goes to one of them, and the other is told."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.live import until
from tests.services.making import ACTOR, make_study
from tests.services.test_concurrency import at_once
from tunebook_server.domain.errors import Conflict
from tunebook_server.services import projects, rounds

WAITING = text(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def test_a_rename_meets_a_project_that_is_being_made(engine: Engine) -> None:
    """The other transaction holds the name, and nobody can see it yet."""
    mine = projects.create(engine, name="mine", actor=ACTOR)
    rename = partial(
        projects.edit, engine, project_id=mine.id, revision=None, changes={"name": "wanted"}, actor=ACTOR
    )
    with engine.connect() as other, ThreadPoolExecutor(1) as pool:
        other.execute(text("INSERT INTO projects (name, goal, note) VALUES ('wanted', '', '')"))
        renamed = pool.submit(rename)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch:
            until(lambda: watch.execute(WAITING).first(), "the rename waits for the name")
        other.commit()
        with pytest.raises(Conflict, match="wanted"):
            renamed.result()
    assert projects.get(engine, project_id=mine.id) == mine


def test_a_rename_to_its_own_name_is_no_conflict(engine: Engine) -> None:
    made = projects.create(engine, name="kept", actor=ACTOR)
    changes = {"name": "kept", "goal": "new"}
    assert (
        projects.edit(engine, project_id=made.id, revision=None, changes=changes, actor=ACTOR).goal == "new"
    )


def test_one_of_two_gets_the_name_of_a_round(engine: Engine) -> None:
    project_id = make_study(engine).project_id
    old = rounds.create(engine, project_id=project_id, name="old", actor=ACTOR)
    for turn in range(25):
        name = f"wanted {turn}"
        calls: list[Callable[[], Any]] = [
            partial(rounds.edit, engine, round_id=old.id, changes={"name": name}, actor=ACTOR),
            partial(rounds.create, engine, project_id=project_id, name=name, actor=ACTOR),
        ]
        outcomes = at_once(calls)
        assert sorted(isinstance(outcome, Conflict) for outcome in outcomes) == [False, True], outcomes

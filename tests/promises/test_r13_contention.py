"""R13: numbers and states stay consistent when many ask, report and tell at once.

The services themselves meet the same in tests/services/test_concurrency.py, where the control is: without the
counter row numbers collide, without the lock on the study's row Postgres finds deadlocks.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.live import tunebook
from tests.promises.conftest import Figures, Size
from tests.promises.contention import consistent
from tests.promises.loops import LONG_LEASE
from tests.services.making import ACTOR, make_study
from tests.services.mutants import COLLISIONS, NEWEST_NUMBER_PLUS_ONE
from tests.services.test_concurrency import at_once
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import trials
from tunebook_server.storage import studies as study_rows
from tunebook_server.storage.engine import connect


def test_numbers_and_states_stay_consistent(
    durable: Callable[..., Postgres], tmp_path: Path, size: Size, figures: Figures
) -> None:
    clients, turns = size(p=(8, 50), n=(64, 50))
    with tunebook(durable(), tmp_path, **LONG_LEASE) as live:
        figures(**consistent(live, clients, turns))


def test_max_plus_one_would_not_do(
    database_url: str, engine: Engine, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: no counter row, and no lock on the study.

    Each asks on a connection of its own, as by another server: those of one server are answered together.
    """
    monkeypatch.setattr(study_rows, "_GET_LOCKED", NEWEST_NUMBER_PLUS_ONE)
    study = make_study(engine, launched=False, budget=400, parallel=400)
    servers = [connect(database_url, pool_size=1) for _ in range(16)]
    asks = [
        partial(trials.ask, server, study_id=study.id, client_id=str(name), actor=ACTOR)
        for name, server in enumerate(servers)
    ]
    collided = sum(isinstance(outcome, COLLISIONS) for outcome in at_once(asks))
    for server in servers:
        server.dispose()
    assert collided
    figures(control=f"max + 1: caught, {collided} of 16 collided")

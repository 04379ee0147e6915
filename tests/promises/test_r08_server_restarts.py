"""R8: a restart of the server is invisible to training."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.live import Live, tunebook
from tests.promises.conftest import Figures, Size
from tests.promises.loops import LONG_LEASE, ask, loop_study
from tests.promises.restarts import answered_through_a_sigterm, train_through_restarts
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults

BROKEN = "from tests.promises import variants; variants.acknowledge_before_commit()"


def test_training_does_not_notice_a_restart(
    durable: Callable[..., Postgres], tmp_path: Path, size: Size, figures: Figures
) -> None:
    points, restarts = size(p=20_000, n=1_000_000), size(p=2, n=40)
    with tunebook(durable(), tmp_path, **LONG_LEASE) as live:
        found = train_through_restarts(live, tmp_path, points, restarts, lambda gently: restart(live, gently))
    wrong = {name: found.pop(name) for name in ("lost", "doubled", "wrong", "exceptions")}
    assert wrong == {"lost": 0, "doubled": 0, "wrong": 0, "exceptions": 0}
    assert found["points"] >= points
    figures(kills=restarts // 2, sigterms=restarts // 2, **found, **wrong)


def test_an_answer_before_the_commit_would_lose_points(
    durable: Callable[..., Postgres], tmp_path: Path, figures: Figures
) -> None:
    """The control: a server that acknowledges a report before it has stored it."""
    with tunebook(durable(), tmp_path, variant=BROKEN, **LONG_LEASE) as live:
        found = train_through_restarts(live, tmp_path, 4_000, 2, lambda gently: restart(live, gently))
    assert found["lost"] > 0
    figures(control=f"acknowledged before the commit: caught, {found['lost']:,} lost")


def test_a_sigterm_answers_what_was_accepted(
    durable: Callable[..., Postgres], tmp_path: Path, size: Size, figures: Figures
) -> None:
    """Requests that wait inside the server, for a lock, while it is told to end."""
    waiting, turns, slowest = size(p=8, n=16), size(p=1, n=5), 0.0
    with tunebook(durable(), tmp_path, **LONG_LEASE) as live:
        claims = [ask(live.api, loop_study(live.api), "loop") for _ in range(waiting)]
        for turn in range(turns):
            server = psutil.Process(live.server.pid)
            slowest = max(slowest, answered_through_a_sigterm(live, claims, turn, server))
            live.server.popen.wait()  # psutil took its status
            restarted(live)
    figures(drains_with_requests_waiting=turns, resets=0, slowest_drain_s=slowest)


def restart(live: Live, gently: bool) -> None:
    if gently:
        live.server.popen.terminate()
        assert live.server.popen.wait(20) == 0
    else:
        live.server.popen.kill()
        live.server.popen.wait()
    restarted(live)


def restarted(live: Live) -> None:
    """A new server in the place of the one that ended."""
    live.processes.remove(live.server)
    live.processes.insert(0, live.processes.pop(live.processes.index(live.start_server())))

"""R6: hints are harmless: however often they come, in any order, among forged ones, a trial runs once."""

import random
from pathlib import Path

import pytest
from celery import Celery

import tunebook_broker  # noqa: F401 (registers the transport)
from tests.live import tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import outcomes, rows
from tunebook_server.broker import TRIAL_QUEUE, TRIAL_TASK
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults

MOST_TIMES, FORGED_SHARE = 20, 0.05
GIVES = "from tests.promises import variants; variants.give_what_is_taken()"
JOB = """
import pathlib, tunebook
trial = tunebook.current_trial()
with (pathlib.Path(__file__).parent / "executions").open("a") as file:
    file.write(f"{trial.number}\\n")
trial.report(1, {"loss": 0.5})
"""


def test_doubled_shuffled_and_forged_hints(
    postgres: Postgres, tmp_path: Path, size: Size, chance: random.Random, figures: Figures
) -> None:
    """A forged hint names an epoch, which no hint does, and a trial of any other number, or of none."""
    trials = size(p=6, n=40)
    with tunebook(postgres, tmp_path) as live:
        live.study(live.script(JOB), trials=trials, parallel=trials)
        queued = "SELECT id FROM trials ORDER BY id"
        until(lambda: len(rows(live, queued)) == trials, "all trials are queued")
        known = [int(row["id"]) for row in rows(live, queued)]
        hints = [[trial] for trial in known for _ in range(chance.randint(1, MOST_TIMES))]
        forged = [forge(known, chance) for _ in range(max(1, round(FORGED_SHARE * len(hints))))]
        mixed = [*hints, *forged]
        chance.shuffle(mixed)
        with live.worker(slots=2) as first, live.worker(slots=2) as second:
            with Celery(broker=live.environment["TUNEBOOK_BROKER_URL"], set_as_current=False) as broker:
                for arguments in mixed:
                    broker.send_task(TRIAL_TASK, args=arguments, queue=TRIAL_QUEUE)
            until(lambda: outcomes(live) == ["completed"] * trials, "every trial has run once", 300)
            waiting = f"SELECT count(*) AS some FROM broker_messages WHERE queue = '{TRIAL_QUEUE}'"
            until(lambda: rows(live, waiting)[0]["some"] == 0, "every hint was heard", 120)
            assert (first.popen.poll(), second.popen.poll()) == (None, None)
        executions = (tmp_path / "executions").read_text().split()
        assert outcomes(live) == ["completed"] * trials
    assert sorted(map(int, executions)) == list(range(trials))
    figures(trials=trials, hints=len(hints), forged=len(forged), executions=len(executions))


def test_a_server_that_gives_what_is_taken_would_run_it_again(
    postgres: Postgres, tmp_path: Path, figures: Figures
) -> None:
    """The control: then each further hint is another execution of the same trial."""
    with tunebook(postgres, tmp_path, variant=GIVES) as live:
        live.study(live.script(JOB), trials=4, parallel=4)
        with live.worker(slots=2):
            until(lambda: run_again(tmp_path), "a trial has run again")
        assert run_again(tmp_path)
    figures(control="a server that gives what is taken: caught, a trial ran twice")


def run_again(folder: Path) -> bool:
    file = folder / "executions"
    executions = file.read_text().split() if file.exists() else []
    return len(executions) > len(set(executions))


def forge(known: list[int], chance: random.Random) -> list[int]:
    trial = chance.choice([*known, chance.randint(10**6, 10**9), -1])
    return [trial, chance.randint(0, 100)]

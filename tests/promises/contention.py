"""Processes that ask, report and tell at once, and what numbers and states there are then."""

import json
import subprocess
import sys

from tests.promises.jobs import rows
from tests.promises.loops import loop_study
from tests.promises.running import Running


def consistent(live: Running, clients: int, turns: int) -> dict[str, int]:
    """Asserts that so many processes, with so many trials each, get numbers without gaps or doubles, lose no
    result and see no error; what is worth keeping of it."""
    study = loop_study(live.api, trials=clients * turns)
    numbers, wrong = ask_at_once(live, study, clients, turns)
    trials = rows(
        live, f"SELECT number, state, objective FROM trials WHERE study_id = {study} ORDER BY number"
    )
    deadlocks = rows(live, "SELECT sum(deadlocks) AS seen FROM pg_stat_database")[0]["seen"]
    assert wrong == []
    assert sorted(numbers) == list(range(clients * turns))
    assert [tuple(trial.values()) for trial in trials] == [
        (number, "completed", number / 8) for number in range(clients * turns)
    ]
    measured = {"clients": clients, "trials": clients * turns, "doubled_numbers": 0, "lost_tells": 0}
    return {**measured, "errors_seen_by_clients": 0, "deadlocks": int(deadlocks)}


def ask_at_once(live: Running, study: int, clients: int, turns: int) -> tuple[list[int], list[str]]:
    """All numbers that processes of their own got, and whatever they saw go wrong."""
    argv = [sys.executable, "-m", "tests.promises.asking", live.url, str(study)]
    environment = {**live.environment, "TUNEBOOK_TOKEN": live.token}
    processes = [
        subprocess.Popen([*argv, f"c{n}", str(turns)], stdout=subprocess.PIPE, text=True, env=environment)
        for n in range(clients)
    ]
    try:
        said = [json.loads(process.communicate()[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [number for each in said for number in each["numbers"]], [
        w for each in said for w in each["wrong"]
    ]

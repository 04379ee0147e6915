"""Schedulers with real jobs: halving that ends them early, and a population that copies checkpoints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.live import Live, until
from tests.promises.kills import pair

EXAMPLES = Path(__file__).parents[2] / "examples"
WAITING = """
import time, tunebook
trial = tunebook.current_trial()
floor = trial.parameters["floor"]
for step in range(1, 2001):
    trial.report(step, {"loss": floor + 1 / step})
    if trial.should_stop:
        break
    time.sleep(0.02)
    if step > 200 and floor < 0.1:
        break
"""
TURN = 2_000
PACED = f"""
import runpy, time, tunebook
kind = type(tunebook.current_trial())
report = kind.report
def paced(*given, **named):
    time.sleep(0.15)  # on a fast machine a whole training would end before its first turn could
    return report(*given, **named)
kind.report = paced
runpy.run_path({str(EXAMPLES / "digits_mlp.py")!r}, run_name="__main__")
"""


def test_halving_ends_jobs_early(live: Live) -> None:
    """Who is worse at a rung is told so with its report, and is gone long before its end."""
    floors = [0.05, 0.9, 0.8, 0.7, 0.6, 0.5]
    with live.worker(slots=3):
        study = live.study(
            live.script(WAITING),
            space=[{"name": "floor", "type": "float", "low": 0.0, "high": 1.0}],
            design={
                "sampler": listed("floor", floors),
                "scheduler": {"name": "asha", "options": {"min_steps": 20, "max_steps": 2000}},
            },
            trials=len(floors),
        )
        until(lambda: [t["state"] for t in live.trials(study)][:1] == ["completed"], "the best one has ended")
        live.api.patch(f"/studies/{study}", {"parallel": 3})
        ended = live.ended(study, len(floors))
    best, *others = ended
    assert (best["state"], best["objective"]) == ("completed", 0.05 + 1 / 201)
    assert {trial["state"] for trial in others} == {"stopped"}
    for trial in others:
        assert trial["reason"].startswith("asha at step ")
        assert 20 <= trial["last_step"] < 1_000
        (*_, attempt) = live.attempts(trial["id"])
        assert attempt["outcome"] == "stopped"
    judged = live.api.get(f"/studies/{study}/data/rungs")
    assert {row["decision"] for row in rows(judged)} == {"continue", "stop"}


def listed(name: str, values: Sequence[float]) -> dict[str, object]:
    return {"name": "manual", "options": {"configurations": [{name: value} for value in values]}}


def waiting(live: Live, study: int) -> bool:
    """Whether a member that has trained before waits for its next turn."""
    return any(trial["state"] == "queued" and trial["epoch"] for trial in live.trials(study))


def rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    columns = table.get("columns", table)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_a_population_trains_digits_and_copies_its_leaders(live: Live) -> None:
    """Two places for six members, two of which learn nothing; a supervisor is killed while it trains."""
    rates = [0.1, 0.05, 0.02, 0.2, 1e-6, 2e-6]
    space: list[dict[str, object]] = [
        {"name": "learning_rate", "type": "float", "low": 1e-6, "high": 1.0, "scale": "log"},
        *(
            {"name": name, "type": "fixed", "value": value}
            for name, value in {"schedule": "constant", "steps": 3 * TURN, "width": 64}.items()
        ),
    ]
    options = {"interval": TURN, "max_steps": 3 * TURN, "share": 0.34, "anew": 0.0}
    with live.worker(slots=2) as worker:
        study = live.study(
            live.script(PACED),
            metric="valid/error",
            space=space,
            design={
                "sampler": listed("learning_rate", rates),
                "scheduler": {"name": "pbt", "options": options},
            },
            trials=len(rates),
            parallel=2,
        )
        until(lambda: waiting(live, study), "a member has had its turn")
        until(lambda: pair(worker), "another one trains")[0].kill()
        ended = live.ended(study, len(rates), within_seconds=180)
    assert {trial["state"] for trial in ended} == {"completed"}
    attempts = {trial["id"]: live.attempts(trial["id"]) for trial in ended}
    outcomes = [attempt["outcome"] for each in attempts.values() for attempt in each]
    assert outcomes.count("paused") >= len(rates)
    assert "failed" in outcomes or "lost" in outcomes
    copies = [attempt for each in attempts.values() for attempt in each if attempt["resumed_from_trial_id"]]
    assert copies
    for copy in copies:
        parent = live.checkpoints(copy["resumed_from_trial_id"])
        assert copy["resumed_from_step"] in {checkpoint["step"] for checkpoint in parent}
    for trial in ended[4:]:
        assert trial["parameters"]["learning_rate"] > 1e-3
        assert trial["objective"] < 0.2
    lineage = rows(live.api.get(f"/studies/{study}/data/lineage?parameter=learning_rate"))
    judged = rows(live.api.get(f"/studies/{study}/data/rungs"))
    assert sorted((row["number"], row["step"]) for row in judged) == [
        (number, step)
        for number in range(len(rates))
        for step in (TURN, 2 * TURN)
        if not passed_over(lineage, number, step)
    ]
    assert any(row["copied_from"] is not None for row in lineage)


def passed_over(lineage: list[dict[str, Any]], number: int, step: int) -> bool:
    """Whether a member went on from a leader that was there already, before it had come there itself."""
    own = sorted((row for row in lineage if row["number"] == number), key=lambda row: int(row["attempt"]))
    there = next(row for row in own if row["last_step"] >= step)
    return there["copied_from"] is not None and there["first_step"] >= step

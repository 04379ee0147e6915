"""Loops of one's own against a real server: ask, train, report, finish, come back."""

import contextlib
import logging
import math
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import tunebook
from tests.live import Live, until
from tunebook.client import Client, Study

DOCUMENT = {
    "project": "loops",
    "name": "quadratic",
    "objective": {"metric": "valid/loss", "direction": "minimize", "evaluation": "best"},
    "budget": {"trials": 4},
    "space": [{"name": "x", "type": "float", "low": -1.0, "high": 1.0}],
}


@pytest.fixture
def study(client: Client, request: pytest.FixtureRequest) -> Study:
    return client.create({**DOCUMENT, "name": request.node.name})


def test_a_loop_uses_the_budget_up(live: Live, client: Client, study: Study) -> None:
    for trial in study.ask_each():
        with trial:
            for step in range(50):
                trial.report(step, {"valid/loss": trial.parameters["x"] ** 2 + 1 / (step + 1), "lr": 0.1})
    assert study.ask() is None
    ended = live.trials(study.id)
    assert [t["state"] for t in ended] == ["completed"] * 4
    assert [t["number"] for t in ended] == [0, 1, 2, 3]
    assert all(t["best_step"] == 49 for t in ended)
    assert len(live.points(ended[0]["id"], "valid/loss")) == 50
    until(lambda: live.api.get(f"/studies/{study.id}")["state"] == "finished", "the study is finished")
    best = min(ended, key=lambda t: t["objective"])
    assert live.api.get(f"/studies/{study.id}")["best_trial_id"] == best["id"]


def test_threads_of_one_process_ask_for_trials_of_their_own(live: Live, study: Study) -> None:
    def work() -> int:
        trial = study.ask()
        assert trial is not None
        with trial:
            trial.report(0, {"valid/loss": 1.0})
        return trial.id

    with ThreadPoolExecutor(4) as pool:
        asked = [future.result() for future in [pool.submit(work) for _ in range(4)]]
    assert len(set(asked)) == 4
    assert [t["state"] for t in live.trials(study.id)] == ["completed"] * 4


def test_non_finite_values_arrive_as_they_are(live: Live, study: Study) -> None:
    values = [math.nan, math.inf, -math.inf, -0.0, 1e308, 5e-324, 0.1]
    trial = study.ask()
    assert trial is not None
    for step, value in enumerate(values):
        trial.report(step, {"odd": value, "valid/loss": 1.0})
    assert trial.finish()
    read = [float(value) for _, value in live.points(trial.id, "odd")]
    assert list(map(repr, read)) == list(map(repr, values))


def test_ends_are_told(live: Live, study: Study) -> None:
    first, second = study.ask(), study.ask()
    assert first is not None
    assert second is not None
    assert first.id != second.id, "two at a time are two trials"
    first.report(0, {"valid/loss": math.nan})
    first.infeasible("the loss is not finite at step 0")
    with pytest.raises(RuntimeError, match="out of luck"), second:
        raise RuntimeError("out of luck")
    assert live.trial(first.id)["state"] == "infeasible"
    assert live.trial(first.id)["reason"] == "the loss is not finite at step 0"
    assert live.attempts(second.id)[0]["outcome"] == "failed"
    assert live.attempts(second.id)[0]["reason"] == "RuntimeError: out of luck"


def test_a_cancel_reaches_the_loop(live: Live, study: Study) -> None:
    trial = study.ask()
    assert trial is not None
    with trial:
        trial.report(0, {"valid/loss": 1.0})
        live.api.post(f"/trials/{trial.id}:cancel")
        until(lambda: trial.should_stop, "the loop hears of the cancel")
    assert live.trial(trial.id)["state"] == "stopped"
    assert live.points(trial.id, "valid/loss") == [(0, 1.0)], "its curve counts"


CRASH = """
    import os, sys, time
    from tunebook.client import Client
    url, token, spool, study, first = sys.argv[1:]
    trial = Client(url, token, spool=spool).study(int(study)).ask(client_id="loop-1")
    for step in range(int(first), int(first) + 100):
        trial.report(step, {"valid/loss": 1.0 / (step + 1)})
    print(trial.id, trial.epoch, flush=True)
    if int(first):
        trial.finish()
    else:
        os.kill(os.getpid(), 9)
"""


def test_a_scheduler_ends_a_loop_early(live: Live, client: Client) -> None:
    """The answer to a report reaches `should_stop` without a heartbeat."""
    rungs = {"name": "asha", "options": {"min_steps": 5, "max_steps": 10_000}}
    study = client.create({**DOCUMENT, "name": "halving", "scheduler": rungs, "budget": {"trials": 2}})
    for place, trial in enumerate(study.ask_each()):
        for step in range(1, 10_001):
            trial.report(step, {"valid/loss": 1.0 + place})
            if trial.should_stop or (place == 0 and step == 20):
                break
            if step > 20:
                time.sleep(0.01)
    first, second = live.trials(study.id)
    assert (first["state"], second["state"]) == ("completed", "stopped")
    assert second["reason"] == "asha at step 5: 2 of 2 there, and 1 may go on"
    assert second["last_step"] < 10_000


def test_ranges_and_budget_are_edited(live: Live, client: Client, study: Study) -> None:
    study.edit(space=[{"name": "x", "type": "float", "low": 4.0, "high": 5.0}], budget=1)
    trial = study.ask()
    assert trial is not None
    assert 4 <= trial.parameters["x"] <= 5
    trial.report(0, {"valid/loss": 1.0})
    assert trial.finish()
    assert study.ask() is None
    with pytest.raises(tunebook.Invalid):
        study.edit(space=[{"name": "y", "type": "float", "low": 4.0, "high": 5.0}])


def test_a_killed_loop_gets_its_own_trial_back(live: Live, study: Study, tmp_path: Path) -> None:
    said = []
    for first in (0, 100):
        loop = [sys.executable, "-c", textwrap.dedent(CRASH)]
        arguments = [live.url, live.api._token, str(tmp_path / "own"), str(study.id), str(first)]
        done = subprocess.run([*loop, *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == (0 if first else -9), done.stderr
        said.append(done.stdout)
    assert said[0] == said[1], "the same trial, the same epoch"
    trial = live.trials(study.id)[0]
    assert trial["state"] == "completed"
    assert [step for step, _ in live.points(trial["id"], "valid/loss")] == list(range(200))


def test_a_loop_that_lost_its_lease_is_told(live: Live, study: Study) -> None:
    trial = study.ask()
    assert trial is not None
    trial._courier._beat_at = math.inf  # it sleeps through its beats
    until(
        lambda: live.trial(trial.id)["epoch"] > 1 or live.trial(trial.id)["state"] == "queued", "it is lost"
    )
    trial.report(0, {"valid/loss": 1.0})
    until(lambda: trial.should_stop, "the loop hears of it")
    assert not trial.finish()
    assert live.points(trial.id, "valid/loss") == [], "no write of the old epoch is accepted"


def test_checkpoints_are_registered(live: Live, study: Study, tmp_path: Path) -> None:
    trial = study.ask()
    assert trial is not None
    trial.report(0, {"valid/loss": 1.0})
    (tmp_path / "weights.npz").write_bytes(b"weights")
    trial.checkpoint(0, tmp_path / "weights.npz")
    trial.finish()
    (found,) = live.api.get(f"/trials/{trial.id}/checkpoints")["items"]
    assert (found["step"], found["uri"]) == (0, str(tmp_path / "weights.npz"))


def test_studies_by_name(client: Client, study: Study) -> None:
    assert client.study(study.name).id == study.id
    with pytest.raises(tunebook.NotFound):
        client.study("no such study")
    client.create({**DOCUMENT, "name": study.name})
    with pytest.raises(tunebook.Conflict, match="Several studies"):
        client.study(study.name)


def test_faults_are_named_and_nothing_is_made(live: Live, client: Client) -> None:
    with pytest.raises(tunebook.Invalid) as caught:
        client.create({**DOCUMENT, "project": "not made", "budget": {"trials": -1}, "objective": {}})
    assert {fault["field"] for fault in caught.value.faults} == {"budget.trials", "objective.metric"}
    head, *lines = str(caught.value).splitlines()
    assert head == "The study has 2 faults."
    for fault, line in zip(caught.value.faults, lines, strict=True):
        assert line.startswith(f"  {fault['field']}: {fault['problem']}. ")
        assert fault["remedy"].rstrip(".") in line
    assert all(p["name"] != "not made" for p in live.api.get("/projects", params={"limit": 1000})["items"])


def test_many_faults_are_counted_and_one_is_not_told_twice(client: Client, study: Study) -> None:
    space = [{"name": f"x{place}", "type": "float", "low": 1.0, "high": 0.0} for place in range(15)]
    with pytest.raises(tunebook.Invalid) as caught:
        client.create({**DOCUMENT, "space": space})
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines[1:-1]] == [f"  space.{n}.low" for n in range(10)]
    assert lines[-1] == "  … and 5 more: see .faults"
    with pytest.raises(tunebook.Invalid) as caught:
        study.trials(sort="nothing")
    (fault,) = caught.value.faults
    assert str(caught.value) == f"{fault['problem']}\n  sort: {fault['remedy']}"
    with pytest.raises(tunebook.Invalid, match=r'^The study has 1 fault\.\n  project: .*project = "digits"'):
        client.create({**DOCUMENT, "project": ""})


@pytest.mark.parametrize("why", ["break", ZeroDivisionError, KeyboardInterrupt])
def test_a_loop_that_is_left_gives_its_trial_to_the_next_at_once(
    live: Live, client: Client, study: Study, why: Any
) -> None:
    with contextlib.nullcontext() if why == "break" else pytest.raises(why):
        for trial in study.ask_each():
            trial.report(1, {"valid/loss": 1.0})
            if trial.number == 1:
                if why == "break":
                    break
                raise why
    first, second = live.trials(study.id)
    assert (first["state"], second["state"], second["attempts"]) == ("completed", "queued", 0)
    (attempt,) = live.attempts(second["id"])
    assert (attempt["outcome"], attempt["reason"]) == ("released", "its loop was left")
    again = next(study.ask_each())
    assert (again.id, again.epoch) == (second["id"], 2)


def test_a_trial_that_ended_before_its_loop_was_left_is_not_given_back(live: Live, study: Study) -> None:
    for trial in study.ask_each():
        with trial:
            trial.report(1, {"valid/loss": 1.0})
            break
    assert [each["state"] for each in live.trials(study.id)] == ["completed"]


def test_a_loop_waits_for_trials_that_others_hold_but_not_for_those_of_its_own_process(
    live: Live, study: Study, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study.edit(budget=2)
    other = Client(live.url, live.api._token, spool=tmp_path / "other")
    own, held = study.ask(), other.study(study.id).ask()
    assert own is not None
    assert held is not None

    def loop() -> list[int]:
        numbers = []
        for trial in study.ask_each():
            trial.report(1, {"valid/loss": 1.0})
            numbers.append(trial.number)
        return numbers

    with caplog.at_level(logging.INFO, "tunebook"), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(loop)
        until(lambda: "waiting for what may come back" in caplog.text, "the loop has asked in vain")
        assert held.release()
        assert waiting.result(60) == [held.number]
    assert live.trial(own.id)["state"] == "running"
    other.close()

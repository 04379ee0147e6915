"""Loops in several processes, against a real server: each that asks is a client of its own."""

import copy
import json
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.live import Live
from tunebook.client import Client, Study

DOCUMENT = {
    "project": "processes",
    "objective": {"metric": "loss", "direction": "minimize"},
    "budget": {"trials": 6},
    "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
}
LOOP = """
import json, logging, multiprocessing, os, sys, time, warnings
from tunebook.client import Client, Study
logging.basicConfig(stream=sys.stdout, format="%(message)s")
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

def train(study: Study, queue: object) -> None:
    trial = study.ask()
    for step in range(10):
        trial.report(step, {"loss": trial.parameters["x"]})
    queue.put((trial.id, os.getpid(), trial.finish()))

def train_in(method: str, study: Study) -> list:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    children = [context.Process(target=train, args=(study, queue)) for _ in range(2)]
    for child in children:
        child.start()
    ended = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join()
        assert child.exitcode == 0
    return ended

def fork(body) -> None:
    child = os.fork()
    if not child:
        try:
            body()
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture
def study(client: Client, request: pytest.FixtureRequest) -> Study:
    return client.create({**DOCUMENT, "name": request.node.name})


def script(live: Live, study: Study, folder: Path, body: str) -> list[str]:
    """The lines that a process of its own prints; `client` and `study` are there."""
    program = folder / "loop.py"
    start = "client = Client(*sys.argv[1:3], spool=sys.argv[3])\nstudy = client.study(int(sys.argv[4]))\n"
    main = textwrap.indent(start + textwrap.dedent(body), "    ")
    program.write_text(f"{LOOP}\nif __name__ == '__main__':\n{main}\n")
    arguments = [live.url, live.api._token, str(folder / "own"), str(study.id)]
    done = subprocess.run(
        [sys.executable, str(program), *arguments], capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_share_a_study_train_trials_of_their_own(
    live: Live, study: Study, tmp_path: Path, method: str
) -> None:
    (said,) = script(live, study, tmp_path, f"print(json.dumps(train_in({method!r}, study)))")
    ended = json.loads(said)
    assert len({pid for _, pid, _ in ended}) == len({trial for trial, _, _ in ended}) == 2
    assert all(acknowledged for _, _, acknowledged in ended)
    assert [trial["state"] for trial in live.trials(study.id)] == ["completed"] * 2
    assert all(len(live.points(trial["id"])) == 10 for trial in live.trials(study.id))


def test_a_trial_asked_for_before_a_fork_stays_with_its_process_and_the_fork_is_told(
    live: Live, study: Study, tmp_path: Path
) -> None:
    body = """
        trial = study.ask()
        def child():
            trial.report(0, {"loss": 99.0})
            trial.report(1, {"loss": 99.0})
            started = time.monotonic()
            print(json.dumps([trial.finish("failed"), time.monotonic() - started < 1]))
        fork(child)
        trial.report(2, {"loss": 0.5})
        print(trial.finish())
    """
    told, in_child, in_parent = script(live, study, tmp_path, body)
    assert told.startswith("Trial 0 is of the process that this one was forked from")
    assert told.endswith("this report is not kept.")
    assert json.loads(in_child) == [False, True]
    assert in_parent == "True"
    (trial,) = live.trials(study.id)
    assert (trial["state"], live.points(trial["id"])) == ("completed", [(2, 0.5)])


def test_a_loop_that_is_forked_in_the_middle_goes_on_in_both(
    live: Live, study: Study, tmp_path: Path
) -> None:
    body = """
        child = None
        for trial in study.ask_each():
            if child is None:
                child = os.fork()
            trial.report(0, {"loss": 1.0})
        if child:
            os.waitpid(child, 0)
    """
    (told,) = script(live, study, tmp_path, body)
    assert told.startswith("Trial 0 is of the process that this one was forked from")
    assert [trial["state"] for trial in live.trials(study.id)] == ["completed"] * 6
    assert all(live.points(trial["id"]) == [(0, 1.0)] for trial in live.trials(study.id))


def test_a_fork_that_lives_on_keeps_no_trial_of_a_killed_process_from_others(
    live: Live, study: Study, tmp_path: Path
) -> None:
    body = """
        until_the_end, end = os.pipe()
        if not os.fork():
            trial = study.ask(client_id="loop")
            if not os.fork():  # as a worker of a data loader that outlives it
                os.close(end)
                os.read(until_the_end, 1)
                os._exit(0)
            os.kill(os.getpid(), 9)
        os.wait()
        trial = study.ask(client_id="loop")
        trial.report(0, {"loss": 1.0})
        print(trial.finish(), trial.epoch)
    """
    assert script(live, study, tmp_path, body) == ["True 1"]


def test_two_objects_of_one_study_ask_for_different_trials(client: Client, study: Study) -> None:
    first, second = study.ask(), client.study(study.id).ask()
    assert first is not None
    assert second is not None
    assert first.id != second.id


def test_a_client_that_is_sent_is_one_client_there(client: Client, study: Study) -> None:
    sent: list[Study] = [pickle.loads(pickle.dumps(study)) for _ in range(2)]
    there = sent[0]._client
    assert (there.api.url, there._spools) == (client.api.url, client._spools)
    assert there.id != client.id
    assert sent[1]._client is there
    assert [(each.id, each.name) for each in sent] == [(study.id, study.name)] * 2
    there.close()


@pytest.mark.parametrize("send", [pickle.dumps, copy.deepcopy])
def test_a_trial_that_is_sent_says_what_to_do_instead(study: Study, send: Any) -> None:
    trial = study.ask()
    with pytest.raises(TypeError, match="stays in the process that trains it: send its parameters"):
        send(trial)


def test_a_killed_process_that_had_ended_its_trial_goes_on_with_another(
    live: Live, study: Study, tmp_path: Path
) -> None:
    """The server does not know of the end when the next process asks under the same name."""
    program = """
        import os, signal, sys, tunebook.asked
        from tunebook.client import Client
        tunebook.asked.FLUSH_SECONDS = 0.2
        trial = Client(*sys.argv[1:3], spool=sys.argv[3]).study(int(sys.argv[4])).ask(client_id="desk")
        trial.report(0, {"loss": 0.5})
        print(trial.id, flush=True)
        sys.stdin.readline()
        print(trial.finish(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    arguments = [live.url, live.api._token, str(tmp_path / "own"), str(study.id)]
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        ended = int(first.stdout.readline())
        live.server.signal(signal.SIGSTOP)
        try:
            first.stdin.write("\n")
            first.stdin.flush()
            assert first.stdout.readline() == "False\n"
            assert first.wait(60) == -signal.SIGKILL
        finally:
            live.server.signal(signal.SIGCONT)
    second = Client(live.url, live.api._token, spool=tmp_path / "own")
    trial = second.study(study.id).ask(client_id="desk")
    assert trial is not None
    assert trial.id != ended
    assert (live.trial(ended)["state"], live.points(ended)) == ("completed", [(0, 0.5)])
    trial.finish("stopped")
    second.close()

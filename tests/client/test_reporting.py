"""Training goes on, and nothing is lost, whatever the server does."""

import json
import logging
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tunebook
from tests.client.unruly import MODES, UnrulyServer, claim
from tunebook.asked import AskedTrial
from tunebook.client import Client, Study
from tunebook.leftovers import Leftovers
from tunebook.reporting import FLUSH_SECONDS, SENT
from tunebook.spool import holding

POINTS = [(step, step / 4) for step in range(500)]


@pytest.fixture
def server() -> Iterator[UnrulyServer]:
    server = UnrulyServer()
    yield server
    server.close()


@pytest.fixture
def client(server: UnrulyServer, tmp_path: Path) -> Iterator[Client]:
    client = Client(server.url, "tbk_pat_test", spool=tmp_path / "spool")
    yield client
    client.close()


def train(trial: AskedTrial) -> None:
    for step, loss in POINTS:
        trial.report(step, {"loss": loss})


def finished(server: UnrulyServer) -> list[Any]:
    return [body for verb, body in server.posted if verb == "finish"]


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_fails_and_comes_back_has_everything_once(
    server: UnrulyServer, client: Client, mode: str
) -> None:
    trial = client.hold(claim())
    server.become(mode)
    requests = server.requests
    train(trial)
    if mode != "gone":
        server.wait_until(lambda: server.requests > requests)
    server.become("good")
    trial.finish()
    server.wait_until(lambda: bool(finished(server)))
    assert server.points() == {"loss": POINTS}
    assert server.mismatches == 0
    assert finished(server) == [{"epoch": 1, "state": "completed", "reason": "", "dropped_points": 0}]


def test_replies_lost_again_and_again_double_nothing(server: UnrulyServer, client: Client) -> None:
    trial = client.hold(claim())
    for step, loss in POINTS:
        if step % 100 == 0:
            server.become("cut" if step % 200 == 0 else "good")
            requests = server.requests
            trial.report(step, {"loss": loss})
            server.wait_until(lambda seen=requests: server.requests > seen)  # type: ignore[misc]
        else:
            trial.report(step, {"loss": loss})
    server.become("good")
    trial.finish()
    server.wait_until(lambda: bool(finished(server)))
    assert server.points() == {"loss": POINTS}
    assert server.mismatches == 0


EXIT = """
    import json, sys, time
    import tunebook
    from tunebook.client import Client, Study
    url, spool, claim = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    trial = Client(url, "tbk_pat_test", spool=spool).hold(claim)
    for step in range(200):
        trial.report(step, {"loss": step / 4})
    print("trained", flush=True)
    sys.exit(5)
"""


def test_an_exit_waits_a_little_and_the_next_client_sends_the_rest(tmp_path: Path) -> None:
    servers = {mode: UnrulyServer(mode) for mode in MODES}
    children = {
        mode: subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(EXIT), server.url, tmp_path / mode, json.dumps(claim())],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for mode, server in servers.items()
    }
    for mode, child in children.items():
        out, err = child.communicate(timeout=FLUSH_SECONDS + 60)
        assert (child.returncode, out) == (5, "trained\n"), (mode, err)
        assert "Traceback" not in err, (mode, err)
    for mode, server in servers.items():
        server.become("good")
        client = Client(server.url, "tbk_pat_test", spool=tmp_path / mode)
        server.wait_until(lambda server=server: len(server.points().get("loss", ())) == 200)  # type: ignore[misc]
        client.close()
        assert server.points() == {"loss": POINTS[:200]}, mode
        assert server.mismatches == 0, mode
        server.close()


@pytest.mark.parametrize("mode", ["hang", "error"])
def test_a_spool_is_held_until_its_end_is_acknowledged(
    server: UnrulyServer, client: Client, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr("tunebook.asked.FLUSH_SECONDS", 0.2)
    trial = client.hold(claim())
    server.become(mode)
    train(trial)
    assert not trial.finish()
    (folder,) = client._spools.iterdir()
    with holding(folder) as free:
        assert not free, "a client that starts now would send what this one is sending"
    server.become("good")
    server.wait_until(lambda: bool(finished(server)))
    assert trial._courier.flush(60)
    assert list(client._spools.iterdir()) == []
    assert server.points() == {"loss": POINTS}


@pytest.fixture
def study(server: UnrulyServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Gives the trial back that has not ended, as far as the server knows, and else the next one."""
    monkeypatch.setattr("tunebook.asked.FLUSH_SECONDS", 0.2)
    given: list[Any] = []

    def ask(body: Any) -> tuple[int, Any]:
        if len(finished(server)) == len(given):
            given.append(claim(epoch=len(given) + 1))  # the epoch says which one has ended
        return 200, {"trials": [given[-1]]}

    server.answers[":ask"] = ask
    return Study(client, {"id": 5, "name": "optimizer"})


def asked(study: Study, **options: Any) -> AskedTrial:
    trial = study.ask(client_id="loop", **options)
    assert trial is not None
    return trial


@pytest.mark.parametrize("mode", ["error", "hang"])
def test_a_loop_that_asks_again_under_its_name_first_tells_the_end_of_its_last_trial(
    server: UnrulyServer, client: Client, study: Study, mode: str
) -> None:
    for place, each in enumerate([study, Study(client, {"id": 5, "name": "optimizer"}), study]):
        trial = asked(each)
        assert trial.epoch == place + 1
        trial.report(0, {"loss": 1.0})
        server.become(mode)
        assert not trial.finish()
        server.become("good")
    assert asked(study).epoch == 4


def test_a_process_that_starts_again_first_tells_the_end_of_its_last_trial(
    server: UnrulyServer, client: Client, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunebook.client.FLUSH_SECONDS", 0.2)
    for epoch in range(1, 5):
        trial = asked(study)
        assert trial.epoch == epoch
        server.become("error")
        assert not trial.finish()
        client.close()
        server.become("good")
        client = Client(server.url, "tbk_pat_test", spool=tmp_path / "spool")
        study = Study(client, {"id": 5, "name": "optimizer"})
    client.close()


def test_an_end_that_does_not_get_through_is_said_and_keeps_no_other_loop_waiting(
    server: UnrulyServer, study: Study
) -> None:
    server.answers[":finish"] = lambda body: (500, {"code": "internal", "detail": "a bug"})
    assert not asked(study).finish()
    over = threading.Event()

    def wait() -> None:
        with pytest.raises(tunebook.Unreachable, match="'loop' is still on its way"):
            asked(study, patience_seconds=2)
        over.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    server.answers[":ask"] = lambda body: (200, {"trials": [claim(8)]})
    assert study.ask(client_id="another", patience_seconds=1) is not None
    assert not over.is_set(), "the other one is still waiting"
    waiting.join()
    assert over.is_set()


def test_what_is_on_its_way_while_a_client_is_closed_goes_with_the_next_one(
    server: UnrulyServer, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunebook.asked.FLUSH_SECONDS", 0.2)
    monkeypatch.setattr("tunebook.client.FLUSH_SECONDS", 0.2)
    trial = client.hold(claim())
    server.become("hang")
    requests = server.requests
    train(trial)
    server.wait_until(lambda: server.requests > requests)
    assert not trial.finish()
    client.close()
    assert Leftovers(client._spools, server.url)._sweep(), "it is held: a later look may find it left"
    other = Client(server.url, "tbk_pat_test", spool=tmp_path / "spool")
    server.become("good")
    server.wait_until(lambda: bool(finished(server)))
    other.close()
    assert server.points() == {"loss": POINTS}


def test_clients_that_start_while_trials_end_meet_no_spool_half_removed(
    server: UnrulyServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()
    faults: list[str] = []
    ends: list[Any] = []

    def end(body: Any) -> tuple[int, Any]:
        ends.append(body)
        return 200, {}

    server.answers[":finish"] = end

    def start_again_and_again() -> None:
        try:
            while not over.is_set():
                Leftovers(client._spools, server.url)._sweep()
        except BaseException as error:
            faults.append(repr(error))
            raise

    others = [threading.Thread(target=start_again_and_again) for _ in range(2)]
    for other in others:
        other.start()
    for number in range(60):
        with client.hold(claim(number)) as trial:
            trial.report(0, {"loss": 1.0})
        assert trial.settled
    over.set()
    for other in others:
        other.join()
    assert (faults, caplog.messages) == ([], [])
    assert len(ends) == 60, "each is sent by one process"
    assert list(client._spools.iterdir()) == []


def test_what_a_killed_process_was_removing_goes_with_the_next_client(
    server: UnrulyServer, tmp_path: Path
) -> None:
    half = tmp_path / "spool" / f"trial-7-1-0123{SENT}"
    half.mkdir(parents=True)
    (half / "trial.json").touch()
    assert not Leftovers(tmp_path / "spool", server.url)._sweep()
    assert not half.exists()


def test_what_is_being_removed_is_no_spool(
    server: UnrulyServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removed_in_part(folder: Path, **_: Any) -> None:
        for name in ("writer.lock", "cursor.json"):
            (folder / name).unlink(missing_ok=True)

    with monkeypatch.context() as slow:
        slow.setattr("shutil.rmtree", removed_in_part)
        client.hold(claim()).finish()
        requests = server.requests
        assert not Leftovers(client._spools, server.url)._sweep()
    assert server.requests == requests
    assert [folder.suffix for folder in client._spools.iterdir()] == [SENT]


def test_an_asked_trial_that_comes_back_never_re_uses_a_number(server: UnrulyServer, tmp_path: Path) -> None:
    same = claim()
    for start in (0, 100):
        client = Client(server.url, "tbk_pat_test", spool=tmp_path / "spool")
        trial = client.hold(same)
        for step, loss in POINTS[start : start + 100]:
            trial.report(step, {"loss": loss})
        client.close()
    server.wait_until(lambda: len(server.points()["loss"]) == 200)
    assert server.points() == {"loss": POINTS[:200]}
    assert server.mismatches == 0


def test_once_fenced_it_says_so_and_sends_nothing_more(
    server: UnrulyServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers[":report"] = lambda body: (409, {"code": "fenced", "detail": "epoch 1 has passed"})
    trial = client.hold(claim())
    with caplog.at_level(logging.WARNING, "tunebook"):
        train(trial)
        assert not trial.finish()
    assert trial.should_stop
    assert "epoch 1 has passed" in caplog.text
    assert finished(server) == []
    assert [path.suffix for path in client._spools.iterdir()] == [".refused"]


def test_a_cancelled_trial_stops_and_its_curve_counts(server: UnrulyServer, client: Client) -> None:
    server.answers[":heartbeat"] = lambda body: (410, {"code": "cancelled", "detail": "by a person"})
    with client.hold(claim(beat_seconds=0.05)) as trial:
        step = 0
        while not trial.should_stop:
            trial.report(step, {"loss": 1.0})
            step += 1
    assert [end["state"] for end in finished(server)] == ["stopped"]
    assert len(server.points()["loss"]) == step


def test_a_record_that_is_refused_costs_no_other(server: UnrulyServer, client: Client) -> None:
    kept: list[int] = []

    def refuse_step_7(body: Any) -> tuple[int, Any]:
        steps = body["series"]["loss"]["step"]
        if 7 in steps:
            return 422, {"code": "invalid", "detail": "step 7 is unlucky"}
        kept.extend(steps)
        return 200, {"points": len(steps), "duplicate": False}

    server.answers[":report"] = refuse_step_7
    trial = client.hold(claim())
    for step in range(20):
        trial.report(step, {"loss": 1.0})
    assert trial.finish()
    assert sorted(kept) == [step for step in range(20) if step != 7]
    assert finished(server)[0]["dropped_points"] == 1


def test_how_a_block_ends_is_how_the_trial_ends(server: UnrulyServer, client: Client) -> None:
    with client.hold(claim(1)):
        pass
    with pytest.raises(ZeroDivisionError), client.hold(claim(2)):
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt), client.hold(claim(3)):
        raise KeyboardInterrupt
    with client.hold(claim(4)) as trial:
        trial.infeasible("the loss is not finite")
    assert [(end["state"], end["reason"]) for end in finished(server)] == [
        ("completed", ""),
        ("failed", "ZeroDivisionError: division by zero"),
        ("stopped", "KeyboardInterrupt"),
        ("infeasible", "the loss is not finite"),
    ]
    assert list(client._spools.iterdir()) == [], "nothing is left when all is acknowledged"


def test_beats_go_out_while_the_loop_is_busy(server: UnrulyServer, client: Client) -> None:
    trial = client.hold(claim(beat_seconds=0.05))
    server.wait_until(lambda: server.requests >= 5)
    assert trial.finish()
    assert server.points() == {}


def test_a_full_spool_keeps_the_objective_and_tells_what_it_dropped(
    server: UnrulyServer, client: Client, tmp_path: Path
) -> None:
    server.become("hang")
    trial = client.hold(claim())
    trial._writer._limit_bytes = 32 << 10
    for step in range(400):
        trial.report(step, {"valid/error": 0.5, "loss": 1.0})
    assert trial._writer.dropped > 0
    server.become("good")
    trial.finish()
    server.wait_until(lambda: bool(finished(server)))
    points = server.points()
    assert len(points["valid/error"]) > len(points["loss"])
    assert finished(server)[0]["dropped_points"] == 800 - len(points["valid/error"]) - len(points["loss"])


def test_what_comes_after_the_end_is_said_once_and_another_end_is_refused(
    server: UnrulyServer, client: Client, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "weights").touch()
    with caplog.at_level(logging.WARNING, "tunebook"), client.hold(claim()) as trial:
        assert trial.finish("completed")
        assert trial.finish("completed"), "the same again is no other end"
        assert caplog.messages == []
        train(trial)
        trial.checkpoint(1, tmp_path / "weights")
        assert not trial.infeasible("the loss is not finite")
    assert caplog.messages == ["Trial 3 has ended: this report is not kept."]
    assert [end["state"] for end in finished(server)] == ["completed"]
    assert server.points() == {}


def test_what_comes_after_the_client_was_closed_is_said(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    trial = client.hold(claim())
    client.close()
    with caplog.at_level(logging.WARNING, "tunebook"):
        trial.report(0, {"loss": 1.0})
        assert not trial.finish()
    assert caplog.messages == [
        "Trial 3 was left to the next client here when its own was closed: this report is not kept."
    ]


def test_a_checkpoint_that_is_not_recorded_says_why(
    server: UnrulyServer, client: Client, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    server.become("hang")
    trial = client.hold(claim())
    trial._writer._limit_bytes = 0
    with caplog.at_level(logging.WARNING, "tunebook"):
        trial.checkpoint(1, tmp_path)
        trial._writer._limit_bytes, trial._writer._segment_bytes = 1 << 20, 1
        trial.checkpoint(2, tmp_path)
        trial._writer.folder.rename(tmp_path / "moved")  # the next segment cannot be made
        trial.checkpoint(3, tmp_path)
    full, moved = (said for said in caplog.messages if said.endswith("record was dropped."))
    assert full.endswith(" is full: a checkpoint record was dropped.")
    assert moved.endswith(" cannot be written (No such file or directory): a checkpoint record was dropped.")


def test_wrong_arguments_are_the_callers_own(client: Client) -> None:
    trial = client.hold(claim())
    wrong: Any = {"loss": "low"}
    with pytest.raises(TypeError):
        trial.report(0, wrong)
    state: Any = "done"
    with pytest.raises(ValueError, match="state is 'done'"):
        trial.finish(state)
    trial.finish()


def test_two_loops_under_one_client_id(
    server: UnrulyServer, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunebook.client.HELD_SECONDS", 0.3)
    shared = claim()
    trial = client.hold(shared)
    other = Client(server.url, "tbk_pat_test", spool=tmp_path / "spool")
    with pytest.raises(tunebook.TunebookError, match="give each loop a client_id of its own"):
        other.hold(shared)
    other.close()
    trial.finish()


def test_the_public_names_are_the_same_classes() -> None:
    assert tunebook.Client is Client
    assert tunebook.AskedTrial is AskedTrial

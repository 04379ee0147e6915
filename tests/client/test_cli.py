"""The `tunebook` command as a person and a CI job use it, against a real server."""

import csv
import io
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.client.unruly import UnrulyServer
from tests.live import Live, until
from tunebook_server.services import access
from tunebook_server.storage.engine import connect

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND = [sys.executable, "-c", "import sys, tunebook.cli; sys.exit(tunebook.cli.main())"]


@pytest.fixture
def environment(live: Live, tmp_path: Path) -> dict[str, str]:
    """Of somebody who uses this server and has no files at home."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "CI": "true",
        "TUNEBOOK_URL": live.url,
        "TUNEBOOK_TOKEN": live.api._token,
    }


def run(
    arguments: Sequence[object], environment: dict[str, str], *, status: int = 0, text: str | None = None
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def small_study(folder: Path, *, trials: int = 3, steps: int = 30, name: str = "small") -> Path:
    """The example study, made short."""
    content = (EXAMPLES / "digits_study.toml").read_text()
    content = content.replace("trials = 48", f"trials = {trials}").replace("value = 4000", f"value = {steps}")
    content = content.replace('folder = "."', f'folder = "{EXAMPLES}"')
    content = content.replace('name = "optimizer"', f'name = "{name}"', 1)
    file = folder / f"{name}.toml"
    file.write_text(content)
    return file


def created_id(done: "subprocess.CompletedProcess[str]") -> int:
    found = re.match(r'Study (\d+) "', done.stdout)
    assert found, done.stdout
    return int(found[1])


# From file to finished study ------------------------------------------------------------------------------


def test_runs_the_example_to_its_end_in_plain_lines(
    live: Live, environment: dict[str, str], tmp_path: Path
) -> None:
    file = small_study(tmp_path, name="to-the-end")
    with live.worker(slots=2):
        done = run(["study", "run", file, "--wait"], environment)
    study = created_id(done)
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == f'Study {study} "to-the-end": {live.url}/studies/{study}'
    assert f'Study {study} "to-the-end" finished: 3 trials in ' in done.stdout
    assert re.search(r"best trial   \d: valid/error 0\.\d+ at step \d+ \(minimize\)$", done.stdout, re.M)
    assert re.search(r"optimizer = (adam|nesterov)", done.stdout)
    assert re.search(r"infeasible   \d of 3 \(\d+%\)", done.stdout)
    assert lines[-1].split() == ["dashboard", f"{live.url}/studies/{study}"]

    table = list(csv.DictReader(io.StringIO(run(["study", "export", study], environment).stdout)))
    assert len(table) == 3
    found = run(["study", "export", study, "--filter", "number > 0"], environment).stdout
    assert [row["number"] for row in csv.DictReader(io.StringIO(found))] == ["1", "2"]
    output = tmp_path / "trials.jsonl"
    assert run(["study", "export", study, "--format", "jsonl", "--output", output], environment).stdout == ""
    assert len([json.loads(line) for line in output.read_text().splitlines()]) == 3

    trial = live.trials(study)[0]
    shown = run(["trial", "show", trial["id"]], environment).stdout
    assert shown.startswith(f"Trial 0 of study {study}: {trial['state']}")
    assert f"{live.url}/trials/{trial['id']}" in shown
    assert json.loads(run(["trial", "show", trial["id"], "--json"], environment).stdout)["id"] == trial["id"]


def test_creates_lists_and_shows(live: Live, environment: dict[str, str], tmp_path: Path) -> None:
    study = created_id(run(["study", "create", small_study(tmp_path, name="listed")], environment))
    listed = run(["study", "list"], environment).stdout
    assert re.search(rf"^{study} +running +0/3 +\d{{4}}-\d\d-\d\d \d\d:\d\d +digits +listed$", listed, re.M)
    assert any(s["id"] == study for s in json.loads(run(["study", "list", "--json"], environment).stdout))
    assert f'Study {study} "listed" running' in run(["study", "show", study], environment).stdout
    assert f'Study {study} "listed" running' in run(["study", "show", "listed"], environment).stdout
    document = json.loads(run(["study", "show", study, "--json"], environment).stdout)
    template = live.api.get(f"/job-templates/{document['job_template_id']}")
    assert (template["argv"], template["folder"]) == (["python", "digits_mlp.py"], str(EXAMPLES))


def test_studies_of_one_name_are_told_apart_by_id_and_date_and_project(
    environment: dict[str, str], tmp_path: Path
) -> None:
    file = small_study(tmp_path, name="twin")
    first = run(["study", "create", file], environment)
    assert first.stderr == ""
    second = run(["study", "create", file], environment)
    told = f"name: study {created_id(first)} of this project has the same name: tell them apart by id\n"
    assert second.stderr == f"tunebook: note: {told}"
    shown = run(["study", "show", "twin"], environment, status=1).stderr
    created = r"\(created \d{4}-\d\d-\d\d \d\d:\d\d\)"
    ids = f"{created_id(second)} {created}, {created_id(first)} {created}"
    assert re.search(
        f"^tunebook: Several studies are called 'twin': use an id.\n  The newest: {ids}\\.$", shown
    )
    file.write_text(file.read_text().replace('project = "digits"', 'project = "elsewhere"'))
    third = created_id(run(["study", "create", file], environment))
    assert f"Study {third} " in run(["study", "show", "elsewhere/twin"], environment).stdout
    assert "No study is called" in run(["study", "show", "nowhere/twin"], environment, status=2).stderr


def test_an_accuracy_without_a_direction_is_noted_before_it_is_minimized(
    environment: dict[str, str], tmp_path: Path
) -> None:
    file = small_study(tmp_path, name="undirected")
    content = file.read_text().replace('metric = "valid/error"', 'metric = "valid/accuracy"')
    file.write_text(content.replace('direction = "minimize"\n', ""))
    note = "tunebook: note: objective.direction: valid/accuracy is minimized; direction is not given\n"
    done = run(["study", "create", file], environment)
    assert done.stderr.startswith(f'{note}      Give direction = "maximize", or ')
    file.write_text(content)
    assert "direction" not in run(["study", "create", file], environment).stderr


def test_the_folder_is_relative_to_the_file(live: Live, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "code/inner").mkdir(parents=True)
    file = small_study(tmp_path / "code", name="relative")
    file.write_text(file.read_text().replace(f'"{EXAMPLES}"', '"inner"'))
    study = live.api.get(f"/studies/{created_id(run(['study', 'create', file], environment))}")
    template = live.api.get(f"/job-templates/{study['job_template_id']}")
    assert template["folder"] == str(tmp_path / "code/inner")


# What is wrong is said ------------------------------------------------------------------------------------


def test_every_fault_is_printed_and_nothing_created(
    live: Live, environment: dict[str, str], tmp_path: Path
) -> None:
    file = small_study(tmp_path)
    content = file.read_text().replace('project = "digits"', 'project = "never made"')
    file.write_text(content.replace("low = 1e-3", "low = 100.0").replace('"minimize"', '"down"'))
    done = run(["study", "create", file], environment, status=2)
    assert done.stdout == ""
    assert "The study has 2 faults." in done.stderr
    assert re.search(r"^  objective\.direction: .*down", done.stderr, re.M)
    assert re.search(r"^  space\.1\.\w+: ", done.stderr, re.M)
    assert re.search(r"^      Use minimize or maximize", done.stderr, re.M)
    assert done.stderr.count("Use minimize or maximize") == 1
    assert all(p["name"] != "never made" for p in live.api.get("/projects", params={"limit": 1000})["items"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('project = "digits"', "", "project: project is missing"),
        ('command = ["python", "digits_mlp.py"]', 'command = "python"', "job.command: command is not a list"),
        ('template = "digits-mlp"', "", "job.template: template is missing"),
        ("[job]", "[job]\nshell = true", "job.shell: shell is not known here"),
        ("[objective]", "[objective", "is not TOML: "),
        ("low = 1e-3", "low = inf", "space.1.low: "),
        ("low = 1e-3", "low = 2026-11-21", "space.1.low: "),
        (f'folder = "{EXAMPLES}"', 'folder = "nowhere"', "is not a folder"),
    ],
)
def test_a_wrong_file(environment: dict[str, str], tmp_path: Path, old: str, new: str, says: str) -> None:
    file = small_study(tmp_path)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert says in run(["study", "create", file], environment, status=2).stderr


def test_wrong_arguments(environment: dict[str, str], tmp_path: Path) -> None:
    assert "cannot be read" in run(["study", "create", tmp_path / "none.toml"], environment, status=2).stderr
    assert "usage: tunebook" in run([], environment, status=2).stderr
    assert "there is no study" in run(["study", "show", 10**9], environment, status=2).stderr
    assert "No study is called 'nobody'" in run(["study", "wait", "nobody"], environment, status=2).stderr
    wrong = {**environment, "TUNEBOOK_TOKEN": "tbk_pat_wrong"}
    assert run(["study", "list"], wrong, status=1).stderr.startswith("tunebook: ")
    nobody = {key: value for key, value in environment.items() if not key.startswith("TUNEBOOK_")}
    assert (
        "No server is known. Start one with `tunebook up`" in run(["study", "list"], nobody, status=1).stderr
    )
    away = {**environment, "TUNEBOOK_URL": "http://127.0.0.1:9"}
    assert "No answer from http://127.0.0.1:9" in run(["study", "list"], away, status=1).stderr


# Waiting --------------------------------------------------------------------------------------------------


@pytest.fixture
def idle_study(live: Live, environment: dict[str, str], tmp_path: Path) -> int:
    """Nobody works on it."""
    return created_id(
        run(["study", "create", small_study(tmp_path, name=f"idle-{tmp_path.name}")], environment)
    )


def test_waiting_ends_in_time(live: Live, environment: dict[str, str], idle_study: int) -> None:
    done = run(["study", "wait", idle_study, "--timeout", "0.5"], environment, status=3)
    assert (
        f"Not finished after 0.5 s. The study goes on; look again with `tunebook study wait {idle_study}`."
        in (done.stderr)
    )
    assert live.api.get(f"/studies/{idle_study}")["state"] == "running"


def test_ctrl_c_leaves_the_study_running(live: Live, environment: dict[str, str], idle_study: int) -> None:
    with subprocess.Popen(
        [*COMMAND, "study", "wait", str(idle_study)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline().startswith("0/3  0 running")
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert err.strip() == f"The study goes on; look again with `tunebook study wait {idle_study}`."
    assert live.api.get(f"/studies/{idle_study}")["state"] == "running"


def test_on_a_terminal_one_line_is_redrawn(environment: dict[str, str], idle_study: int) -> None:
    screen, terminal = pty.openpty()
    interactive = {**environment, "TERM": "xterm"}
    del interactive["CI"]
    with subprocess.Popen(
        [*COMMAND, "study", "wait", str(idle_study)], env=interactive, stdout=terminal, stderr=terminal
    ) as waiting:
        os.close(terminal)
        seen = _read_until(screen, rb"\r\x1b\[2K.*\r\x1b\[2K")
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(30) == 130
    os.close(screen)
    text = seen.decode()
    assert "░" * 24 + " 0/3  0 running" in text
    assert "\n" not in text


def _read_until(screen: int, pattern: bytes) -> bytes:
    seen = b""
    while not re.search(pattern, seen, re.S):
        ready, _, _ = select.select([screen], [], [], 30)
        assert ready, seen
        seen += os.read(screen, 4096)
    return seen


@pytest.fixture
def unruly() -> Iterator[UnrulyServer]:
    server = UnrulyServer()
    yield server
    server.close()


def test_waiting_outlasts_a_server_that_is_away(unruly: UnrulyServer, tmp_path: Path) -> None:
    study: dict[str, Any] = {
        "id": 3,
        "name": "evil\x1b[2J\u202ename",
        "state": "running",
        "budget": 2,
        "counts": {"running": 1, "completed": 1},
        "objective": {"metric": "valid/error"},
        "best_trial_id": None,
        "created_at": "2026-11-21T10:00:00+00:00",
        "finished_at": "2026-11-21T10:01:05+00:00",
    }
    unruly.answers["/studies/3"] = lambda body: (200, study)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TUNEBOOK_URL": unruly.url,
        "TUNEBOOK_TOKEN": "x",
    }
    with subprocess.Popen(
        [*COMMAND, "study", "wait", "3"], env=environment, stdout=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "1/2  1 running\n"
        unruly.become("gone")
        assert waiting.stdout.readline() == "1/2  the server does not answer; trying again\n"
        study.update(state="finished", counts={"completed": 1, "failed": 1})
        crashed = {"id": 8, "number": 1, "reason": "KeyError:\n\x1b[2J'eta0'" + "x" * 500}
        unruly.answers["state=failed&sort=-number&limit=200"] = lambda body: (200, {"items": [crashed]})
        unruly.become("good")
        out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert out.startswith(r'Study 3 "evil\x1b[2J\u202ename" finished: 2 trials in 1:05')
    assert re.search(r"^ +1 failed: KeyError: \\x1b\[2J'eta0'x{170,}… \(trial id 8\)$", out, re.M)


# Why trials failed ----------------------------------------------------------------------------------------

FAILING = """
import sys, tunebook
trial = tunebook.current_trial()
if trial.number in (0, 1, 3):
    sys.exit("KeyError: 'eta0'")
trial.report(1, {"los" if trial.number == 2 else "loss": 0.5})
"""
FAILS_THEN_WAITS = """
import pathlib, sys, time, tunebook
while tunebook.current_trial().number and not pathlib.Path({go!r}).exists():
    time.sleep(0.05)
sys.exit("no such file")
"""


@pytest.fixture
def failing_study(live: Live) -> int:
    """One of its five trials is completed; each trial has one attempt."""
    study = live.study(live.script(FAILING), trials=5, parallel=1, attempts=1)
    with live.worker():
        live.ended(study, 5)
    return study


def test_failures_are_told_by_their_reasons_the_most_frequent_first(
    live: Live, environment: dict[str, str], failing_study: int
) -> None:
    ids = [trial["id"] for trial in live.trials(failing_study)]
    wanted = [
        "  failed       4",
        f"               3 failed: The job ended with exit code 1: KeyError: 'eta0' (trial id {ids[3]})",
        f"               1 failed: ended without a value of loss (it reported los) (trial id {ids[2]})",
    ]
    for verb in ("show", "wait"):
        lines = run(["study", verb, failing_study], environment).stdout.splitlines()
        assert [line for line in lines if "failed" in line] == wanted


def test_trials_are_listed_by_filter_and_state_and_tried_again(
    live: Live, environment: dict[str, str], failing_study: int
) -> None:
    trials = live.trials(failing_study)
    rows = run(["trial", "list", failing_study], environment).stdout.splitlines()
    assert rows[0].split() == ["ID", "NUMBER", "STATE", "OBJECTIVE", "REASON"]
    assert [row.split()[:3] for row in rows[1:]] == [
        [str(trial["id"]), str(trial["number"]), trial["state"]] for trial in trials[::-1]
    ]
    assert rows[1].split()[3:] == ["0.5"]
    assert re.search(r" failed +The job ended with exit code 1: KeyError: 'eta0'$", rows[-1])
    few = run(["trial", "list", failing_study, "--limit", "2"], environment)
    assert few.stdout.splitlines() == [rows[0], *rows[1:3]]
    assert "There are more" in few.stderr
    listed = ["trial", "list", failing_study, "--state", "failed", "--state", "queued"]
    found = run([*listed, "--filter", "number < 1"], environment).stdout.splitlines()
    assert [row.split()[1] for row in found[1:]] == ["0"]
    first = trials[0]["id"]
    again = run(["trial", "retry", first], environment).stdout
    assert again == f"Trial 0 of study {failing_study}: queued\n"
    assert (
        "Only a failed trial can be tried again."
        in run(["trial", "retry", first], environment, status=1).stderr
    )


PRINTING = """
import pathlib, time
print("first\\x1b[31m\\tred", flush=True)
while not pathlib.Path({go!r}).exists():
    time.sleep(0.05)
print("last", flush=True)
"""


def test_the_log_of_a_trial_is_printed_and_followed_to_its_end(
    live: Live, environment: dict[str, str], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    study = live.study(live.script(PRINTING.format(go=str(go))), attempts=1)
    trial = until(lambda: live.trials(study), "the study has a trial")[0]["id"]
    assert run(["trial", "log", trial], environment).stderr == "It has printed nothing.\n"
    with live.worker():
        live.running(study)
        with subprocess.Popen(
            [*COMMAND, "trial", "log", str(trial), "--follow"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as following:
            assert following.stdout is not None
            assert following.stdout.readline() == "first   red\n"
            go.touch()
            out, _ = following.communicate(timeout=60)
        assert (following.returncode, out) == (0, "last\n")
    assert run(["trial", "log", trial], environment).stdout == "first   red\nlast\n"
    assert run(["trial", "log", trial, "--lines", "1"], environment).stdout == "last\n"


def test_the_first_failure_is_told_once_and_when_it_happens(
    live: Live, environment: dict[str, str], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    study = live.study(live.script(FAILS_THEN_WAITS.format(go=str(go))), trials=2, attempts=1)
    told = "trial 0 failed: The job ended with exit code 1: no such file\n"
    with (
        live.worker(),
        subprocess.Popen(
            [*COMMAND, "study", "wait", str(study)], env=environment, stdout=subprocess.PIPE, text=True
        ) as waiting,
    ):
        assert waiting.stdout is not None
        while (line := waiting.stdout.readline()) != told:
            assert line
        go.touch()
        out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert told not in out
    assert "  failed       2\n               2 failed: The job ended with exit code 1: no such file" in out


# Logging in -----------------------------------------------------------------------------------------------


def test_login_keeps_a_token_for_oneself(live: Live, environment: dict[str, str], tmp_path: Path) -> None:
    del environment["TUNEBOOK_TOKEN"], environment["TUNEBOOK_URL"]
    engine = connect(live.database_url)
    code = access.issue_login_code(engine)
    engine.dispose()
    done = run(["login", "--url", live.url + "/", code], environment)
    assert done.stdout.startswith(f"Logged in to {live.url} as ")
    file = tmp_path / ".config/tunebook/credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert json.loads(file.read_text())["servers"][live.url] not in done.stdout + done.stderr
    run(["study", "create", small_study(tmp_path, name="logged-in")], environment)
    run(["study", "list"], environment)


def test_a_code_works_once_and_may_be_typed(live: Live, environment: dict[str, str]) -> None:
    engine = connect(live.database_url)
    code = access.issue_login_code(engine)
    engine.dispose()
    run(["login", "--url", live.url], environment, text=f" {code}\n")
    assert run(["login", "--url", live.url, code], environment, status=1).stderr.startswith("tunebook: ")


def test_a_data_folder_of_tunebook_up_is_found(
    live: Live, environment: dict[str, str], tmp_path: Path
) -> None:
    token, url = environment.pop("TUNEBOOK_TOKEN"), environment.pop("TUNEBOOK_URL")
    data = tmp_path / "data"
    data.mkdir()
    missing = run(["study", "list", "--data", data], environment, status=1).stderr
    assert f"No Tunebook runs in {data}. Start one with `tunebook up --data {data}`." in missing
    (data / "address").write_text(url)
    (data / "client.token").write_text(token)
    run(["study", "list", "--data", data], environment)
    run(["study", "list"], {**environment, "TUNEBOOK_DATA": str(data)})
    run(["study", "list", "--url", url + "/"], {**environment, "TUNEBOOK_DATA": str(data)})
    elsewhere = {**environment, "TUNEBOOK_DATA": str(data), "TUNEBOOK_URL": "http://127.0.0.1:9"}
    assert "No token is known for http://127.0.0.1:9." in run(["study", "list"], elsewhere, status=1).stderr


def test_the_example_file_is_the_study_that_it_says() -> None:
    document = tomllib.loads((EXAMPLES / "digits_study.toml").read_text())
    roles = {p["name"]: p.get("role", "fixed") for p in document["space"]}
    assert [name for name, role in roles.items() if role == "scientific"] == ["optimizer"]
    assert document["budget"]["trials"] == 48


def test_a_pipe_that_closes_early_is_no_error(environment: dict[str, str], idle_study: int) -> None:
    with subprocess.Popen(
        [*COMMAND, "study", "list", "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as listing:
        assert listing.stdout is not None
        listing.stdout.close()
        assert listing.stderr is not None
        assert listing.stderr.read() == ""

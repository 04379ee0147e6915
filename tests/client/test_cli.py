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
from tests.live import Live
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
    assert re.search(r"best trial   \d: valid/error 0\.\d+ at step \d+", done.stdout)
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
    assert re.search(rf"^{study} +running +0/3 +listed$", run(["study", "list"], environment).stdout, re.M)
    assert any(s["id"] == study for s in json.loads(run(["study", "list", "--json"], environment).stdout))
    assert f'Study {study} "listed" running' in run(["study", "show", study], environment).stdout
    assert f'Study {study} "listed" running' in run(["study", "show", "listed"], environment).stdout
    document = json.loads(run(["study", "show", study, "--json"], environment).stdout)
    template = live.api.get(f"/job-templates/{document['job_template_id']}")
    assert (template["argv"], template["folder"]) == (["python", "digits_mlp.py"], str(EXAMPLES))


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
        _, err = waiting.communicate(timeout=30)
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
        unruly.become("good")
        out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert out.startswith(r'Study 3 "evil\x1b[2J\u202ename" finished: 2 trials in 1:05')


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

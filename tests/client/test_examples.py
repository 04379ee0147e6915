"""The examples: they train, resume exactly, say when they diverge, and share one contract."""

import ast
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tunebook.spool import Record, SpoolReader

EXAMPLES = Path(__file__).parents[2] / "examples"
PARALLEL = EXAMPLES / "parallel_digits.py"
MLP, CNN = EXAMPLES / "digits_mlp.py", EXAMPLES / "torch_cnn.py"
SHORT = {"steps": 120, "evaluate_every": 20, "checkpoint_every": 40}
METRICS = {"train/loss", "train/error", "valid/loss", "valid/error", "grad/norm", "time/step_seconds"}

Launch = Callable[..., "subprocess.Popen[bytes]"]
Resume = Mapping[str, object] | None


def words(knobs: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in knobs.items()]


def alone(
    script: Path, knobs: Mapping[str, object] | None = None, *, status: int = 0
) -> "subprocess.CompletedProcess[str]":
    """As a person runs it: no Tunebook anywhere."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TUNEBOOK_")}
    done = subprocess.run(
        [sys.executable, script, *words({**SHORT, **(knobs or {})})],
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """As a supervisor starts it, in a spool and a checkpoint folder of that attempt."""

    def launch(
        epoch: int,
        resume: Mapping[str, object] | None = None,
        *,
        starter: Sequence[str] = (sys.executable, str(MLP)),
        **knobs: object,
    ) -> "subprocess.Popen[bytes]":
        folder = tmp_path / str(epoch)
        (folder / "checkpoints").mkdir(parents=True)
        job = {
            "trial_id": 1,
            "number": 0,
            "epoch": epoch,
            "study": "optimizer",
            "seed": 5,
            "socket": None,
            "parameters": knobs,
            "checkpoint_folder": str(folder / "checkpoints"),
            "spool": str(folder / "spool"),
            "resume": resume,
        }
        (folder / "job.json").write_text(json.dumps(job))
        return subprocess.Popen(
            [*starter, *words({**SHORT, **knobs})],
            env={**os.environ, "TUNEBOOK_JOB": str(folder / "job.json")},
            stderr=subprocess.DEVNULL,
        )

    return launch


def spooled(folder: Path) -> list[Record]:
    reader, found = SpoolReader(folder / "spool"), []
    while batch := reader.read():
        found += batch
        reader.commit()
    return found


def curves(records: list[Record]) -> dict[int, dict[str, Any]]:
    """Values by step, without those that a clock decides."""
    points = {r["step"]: dict(r["values"]) for r in records if r["type"] == "report"}
    for values in points.values():
        assert values.pop("time/step_seconds") > 0
    return points


@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_trains_alone_and_prints_json_lines(optimizer: str) -> None:
    rate = {"nesterov": 0.1, "adam": 0.003}[optimizer]
    lines = [
        json.loads(line)
        for line in alone(MLP, {"optimizer": optimizer, "learning_rate": rate}).stdout.splitlines()
    ]
    assert [line["step"] for line in lines] == list(range(0, 121, 20))
    assert all(line.keys() >= METRICS for line in lines)
    assert lines[0]["valid/error"] > 0.5
    assert lines[-1]["valid/error"] < 0.1
    assert lines[-1]["train/loss"] < lines[0]["train/loss"] / 4


def test_every_knob_does_something_or_is_refused() -> None:
    reference = _without_times(alone(MLP).stdout)
    for knob in ("schedule=linear", "weight_decay=0.5", "warmup_steps=50", "momentum=0.5"):
        name, value = knob.split("=")
        assert _without_times(alone(MLP, {name: value}).stdout) != reference, knob
    by_distance = alone(MLP, {"one_minus_momentum": 0.5}).stdout
    assert _without_times(by_distance) == _without_times(alone(MLP, {"momentum": 0.5}).stdout)
    assert "no knob is called 'learningrate'" in alone(MLP, {"learningrate": 1}, status=1).stderr


def _without_times(printed: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in printed.splitlines()]
    for line in lines:
        del line["time/step_seconds"]
    return lines


def test_diverges_infeasibly(launch: Launch, tmp_path: Path) -> None:
    done = alone(MLP, {"learning_rate": 10.0, "steps": 1000}, status=87)
    assert "the loss is not finite at step" in done.stderr
    assert not math.isfinite(json.loads(done.stdout.splitlines()[-1])["train/loss"])

    job = launch(1, learning_rate=10.0, steps=1000)
    assert job.wait(120) == 87
    records = spooled(tmp_path / "1")
    assert records[-1]["type"] == "infeasible"
    assert records[-1]["reason"].startswith("the loss is not finite at step")
    assert records[-2]["values"]["train/loss"] in ("NaN", "Infinity"), "kept as data"


@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_resumes_to_the_very_same_numbers(launch: Launch, tmp_path: Path, optimizer: str) -> None:
    knobs = {"optimizer": optimizer, "learning_rate": 0.01}
    whole = launch(1, **knobs)
    assert whole.wait(120) == 0
    records = spooled(tmp_path / "1")
    checkpoints = [r for r in records if r["type"] == "checkpoint"]
    assert [c["step"] for c in checkpoints] == [40, 80, 120]

    again = launch(2, {"step": 80, "uri": checkpoints[1]["path"]}, **knobs)
    assert again.wait(120) == 0
    resumed = spooled(tmp_path / "2")
    expected = curves(records)
    assert curves(resumed) == {step: values for step, values in expected.items() if step >= 80}
    with np.load(checkpoints[2]["path"]) as first, np.load(resumed[-1]["path"]) as second:
        assert sorted(first) == sorted(second)
        assert all((first[name] == second[name]).all() for name in first)


def test_saves_and_leaves_when_it_is_asked_to_stop(launch: Launch, tmp_path: Path) -> None:
    job = launch(1, steps=10**7)
    reports = 0
    while reports < 2:  # it looks whether to stop after each report: by the second it has looked
        assert job.poll() is None
        reports += sum(record["type"] == "report" for record in spooled(tmp_path / "1"))
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 0
    last = [r for r in spooled(tmp_path / "1") if r["type"] == "checkpoint"][-1]
    assert Path(last["path"]).exists()


# Several processes ----------------------------------------------------------------------------------------


def together(processes: int) -> list[str]:
    """As a supervisor starts the ranks of one trial."""
    return [
        sys.executable,
        "-m",
        "tunebook_worker.ranks",
        str(processes),
        "10",
        sys.executable,
        str(PARALLEL),
    ]


def test_one_process_trains_alone_and_diverges_infeasibly() -> None:
    lines = [json.loads(line) for line in alone(PARALLEL, {"checkpoint_every": 40}).stdout.splitlines()]
    assert [line["step"] for line in lines] == list(range(0, 121, 20))
    assert lines[-1]["valid/error"] < 0.1 < lines[0]["valid/error"]
    assert "the loss is not finite" in alone(PARALLEL, {"learning_rate": 1e4}, status=87).stderr


def test_three_processes_train_one_model_and_resume_to_the_very_same_numbers(
    launch: Launch, tmp_path: Path
) -> None:
    whole = launch(1, starter=together(3))
    assert whole.wait(120) == 0
    records = spooled(tmp_path / "1")
    checkpoints = [r for r in records if r["type"] == "checkpoint"]
    assert [c["step"] for c in checkpoints] == [40, 80, 120]
    expected = {r["step"]: r["values"] for r in records if r["type"] == "report"}
    assert expected[120]["valid/error"] < 0.1
    again = launch(2, {"step": 80, "uri": checkpoints[1]["path"]}, starter=together(3))
    assert again.wait(120) == 0
    resumed = {r["step"]: r["values"] for r in spooled(tmp_path / "2") if r["type"] == "report"}
    assert resumed == {step: values for step, values in expected.items() if step >= 80}


def test_processes_that_train_together_stop_together(launch: Launch, tmp_path: Path) -> None:
    job = launch(1, steps=10**7, starter=together(2))
    reader = SpoolReader(tmp_path / "1/spool")
    while not reader.read():
        assert job.poll() is None
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 0
    assert [r for r in spooled(tmp_path / "1") if r["type"] == "checkpoint"][-1]["step"] > 0


def test_the_data_are_the_digits_that_everybody_has() -> None:
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    table = np.loadtxt(Path(spec.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    digits = load_digits()
    assert (table[:, :64] == digits.data).all()
    assert (table[:, 64] == digits.target).all()


# One contract for both ------------------------------------------------------------------------------------


def _knobs(script: Path) -> dict[str, type]:
    """The block of module-level constants between the two rules, by name."""
    tree = ast.parse(script.read_text())
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            (target,) = node.targets
            assert isinstance(target, ast.Name)
            if target.id.islower():
                found[target.id] = type(node.value.value)
    found.pop("start", None)  # the first step of this attempt
    return found


def _literals(script: Path) -> set[str]:
    return {
        n.value
        for n in ast.walk(ast.parse(script.read_text()))
        if isinstance(n, ast.Constant) and n.value in METRICS
    }


def _calls_on_trial(script: Path) -> set[str]:
    nodes = ast.walk(ast.parse(script.read_text()))
    attributes = (n for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name))
    return {n.attr for n in attributes if isinstance(n.value, ast.Name) and n.value.id == "trial"}


def test_both_scripts_take_the_same_knobs_and_keep_the_same_contract() -> None:
    compile(CNN.read_text(), CNN, "exec")
    assert _knobs(MLP) == _knobs(CNN)
    assert {"learning_rate", "momentum", "beta1", "weight_decay", "schedule", "seed"} <= _knobs(MLP).keys()
    assert _literals(MLP) == _literals(CNN) == METRICS
    contract = {"report", "checkpoint", "infeasible", "should_stop", "resume_from", "resume_step", "seed"}
    assert _calls_on_trial(MLP) == _calls_on_trial(CNN) == contract | {"checkpoint_folder"}


def test_the_network_trains_where_pytorch_is_installed() -> None:
    if find_spec("torch") is None:
        source = CNN.read_text()
        assert "torch.cuda.is_available()" in source
        return
    lines = [json.loads(line) for line in alone(CNN, {"learning_rate": 0.05}).stdout.splitlines()]
    assert lines[-1]["valid/error"] < 0.2

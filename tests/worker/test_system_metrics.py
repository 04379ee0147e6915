"""What a job uses of its host: sampled over all of its processes, beside whatever NVML does."""

import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import Live, until
from tunebook_worker import system_metrics
from tunebook_worker.gpus import Gpus
from tunebook_worker.system_metrics import Usage
from tunebook_worker.tree import Tree

MEBIBYTE = 1 << 20
BUSY = """
import os, sys, threading, time
if os.fork() == 0:
    os.setsid()
    held = bytearray(64 << 20)
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    with open(sys.argv[1], "wb") as file:
        file.write(bytes(8 << 20)); file.flush(); os.fsync(file.fileno())
    print("ready", flush=True)
    while True: pass
time.sleep(60)
"""
LONG = """
import time
print('{"step": 1, "loss": 0.5}', flush=True)
end = time.monotonic() + 4
while time.monotonic() < end: pass
"""


class Nvml(types.ModuleType):
    """A driver with two cards, one of which knows no power, and which can fall off the bus."""

    NVML_TEMPERATURE_GPU = 0

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)
        return lambda *words: self.answer(name, *words)

    def answer(self, name: str, *words: Any) -> Any:
        if self.broken:
            raise RuntimeError("GPU is lost")
        card = words[0] if words else None
        if name == "nvmlDeviceGetHandleByIndex" and card in (0, 1):
            return card
        if name == "nvmlDeviceGetHandleByUUID" and card == "GPU-one":
            return 1
        if name.startswith("nvmlDeviceGetHandle"):
            raise RuntimeError("not found")
        if name == "nvmlDeviceGetPowerUsage" and card == 1:
            raise RuntimeError("not supported")
        return {
            "nvmlInit": None,
            "nvmlDeviceGetIndex": card,
            "nvmlDeviceGetUtilizationRates": types.SimpleNamespace(gpu=90),
            "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(used=3 * MEBIBYTE),
            "nvmlDeviceGetPowerUsage": 250_000,
            "nvmlDeviceGetTemperature": 61,
        }[name]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    driver = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    return driver


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Tree]:
    """A process that waits, and its child, which left the session, burns a core, holds 64 MiB and wrote 8."""
    job_file = tmp_path / "job.json"
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(tmp_path / "written")],
        env={"TUNEBOOK_JOB": str(job_file)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    tree = Tree(job_file, session=process.pid)
    yield tree
    tree.kill()
    process.wait()
    process.stdout.close()


def test_the_whole_tree_is_counted(job: Tree) -> None:
    usage = Usage(job)
    first = usage.read()
    assert (first["processes"], first["threads"]) == (2, 3)
    assert first["memory_bytes"] > 64 * MEBIBYTE
    assert "host_network_sent_bytes_per_second" not in first
    busy = until(
        lambda: [each for each in [usage.read()] if each["cpu_percent"] > 10], "the child burns a core"
    )
    assert busy[0]["cpu_percent"] < 250
    assert busy[0]["disk_write_bytes_per_second"] >= 0
    assert busy[0]["host_network_sent_bytes_per_second"] >= 0
    job.kill()
    assert "cpu_percent" not in usage.read()


def test_a_child_alone_would_be_missed(job: Tree) -> None:
    """The control: the job's session without its mark is its first process, which idles."""
    alone = Tree(Path("/nowhere"), session=job.session)
    assert Usage(alone).read()["processes"] == 1


def test_gpus_are_those_of_the_job(nvml: Nvml) -> None:
    assert Gpus(None).read() == {}
    assert Gpus("").read() == {}
    card = {"utilisation_percent": 90.0, "memory_bytes": 3.0 * MEBIBYTE, "temperature_celsius": 61.0}
    expected = {f"gpu1/{name}": value for name, value in card.items()}
    assert Gpus("1").read() == expected
    assert Gpus("GPU-one").read() == expected
    assert Gpus("0,7").read() == {
        **{f"gpu0/{name}": value for name, value in card.items()},
        "gpu0/power_watts": 250.0,
    }


def test_a_driver_that_fails_takes_nothing_with_it(nvml: Nvml, capsys: pytest.CaptureFixture[str]) -> None:
    gpus = Gpus("0")
    assert gpus.read()
    nvml.broken = True
    assert gpus.read() == {}
    assert Gpus("0").read() == {}
    nvml.broken = False
    assert gpus.read()


def test_without_a_driver_there_are_no_gpus() -> None:
    assert Gpus("0,1").read() == {}


@pytest.mark.parametrize("text", ["-1", "0.5", "nan", "inf", "x", "3601"])
def test_a_wrong_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="or 0 for none"):
        system_metrics.period({system_metrics.SETTING: text})


def test_samples_are_points_and_no_result(live: Live) -> None:
    with live.worker(TUNEBOOK_SYSTEM_METRICS_SECONDS="1", CUDA_VISIBLE_DEVICES="0"):
        study = live.study(live.script(LONG))
        (trial,) = live.ended(study)
    assert (trial["state"], trial["objective"], trial["last_step"]) == ("completed", 0.5, 1)
    points = live.points(trial["id"], "system/cpu_percent")
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    assert all(1 <= step <= 6 for step, _ in points)
    assert max(value for _, value in points) > 10
    assert live.points(trial["id"], "system/memory_bytes")[0][1] > MEBIBYTE
    (attempt,) = live.attempts(trial["id"])
    assert attempt["dropped_points"] == 0
    names = live.api.get(f"/studies/{study}/metrics")["items"]
    assert "system/threads" in names
    curves = live.api.get(f"/studies/{study}/figures/system", params={"trial": trial["id"], "panel": "cpu"})
    assert [trace["name"] for trace in curves["data"]] == ["CPU"]


def test_none_are_taken_where_none_are_wanted(live: Live) -> None:
    with live.worker(TUNEBOOK_SYSTEM_METRICS_SECONDS="0"):
        study = live.study(live.script(LONG))
        live.ended(study)
    assert live.api.get(f"/studies/{study}/metrics")["items"] == ["loss"]

"""Which GPUs a worker finds. The driver's library stands in for itself where a host has none."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tunebook_worker import devices
from tunebook_worker.devices import Gpu, NoSuchGpu, label, within

FOUR = [Gpu(f"GPU-{letter}0{letter}1", "NVIDIA H200", 140 << 30, i) for i, letter in enumerate("abcd")]


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("2,0", [2, 0]),
        ("GPU-b", [1]),
        ("GPU-d0d1,1", [3, 1]),
        ("1,1", [1]),
        ("0,-1,2", [0]),
        ("NoDevFiles", []),
        ("", []),
    ],
)
def test_only_visible_devices_are_used(visible: str, found: list[int]) -> None:
    assert within(FOUR, devices.words(visible)) == tuple(FOUR[place] for place in found)


def test_mig_devices_pass_through() -> None:
    assert within(FOUR, ["MIG-5e0f", "3"]) == (Gpu("MIG-5e0f"), FOUR[3])


def test_where_nothing_is_known_names_pass_through() -> None:
    assert [gpu.name for gpu in within([], ["2", "GPU-8f3a"])] == ["2", "GPU-8f3a"]


@pytest.mark.parametrize(("word", "why"), [("4", "is no device"), ("GPU-", "names several"), ("x", "is no")])
def test_a_device_that_is_not_here_is_named(word: str, why: str) -> None:
    with pytest.raises(NoSuchGpu, match=f"CUDA_VISIBLE_DEVICES=0,{word}: {word} {why}.*3 .GPU-d0d1"):
        within(FOUR, ["0", word])


def test_the_model_is_a_word_when_all_are_alike() -> None:
    assert label(FOUR) == "nvidia-h200"
    assert label([Gpu("a", "NVIDIA GeForce RTX 4090 (x)")]) == "nvidia-geforce-rtx-4090-x"
    assert label([*FOUR, Gpu("e", "NVIDIA A100-SXM4-80GB")]) == ""
    assert label([Gpu("0")]) == label([]) == ""


def library(*cards: dict[str, Any], fails: str = "") -> SimpleNamespace:
    """What `pynvml` answers on a host with these devices."""

    class NVMLError(Exception):
        pass

    def start() -> None:
        if fails:
            raise NVMLError(fails)

    def mode(handle: dict[str, Any]) -> list[int]:
        if "parts" not in handle:
            raise NVMLError("Not Supported")
        return [1, 1]

    def part(handle: dict[str, Any], place: int) -> dict[str, Any]:
        if handle["parts"][place] is None:
            raise NVMLError("Not Found")
        return dict(handle["parts"][place])

    return SimpleNamespace(
        NVMLError=NVMLError,
        NVML_DEVICE_MIG_ENABLE=1,
        nvmlInit=start,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(cards),
        nvmlDeviceGetHandleByIndex=lambda index: cards[index],
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=141 << 30),
        nvmlDeviceGetUUID=lambda handle: handle["uuid"],
        nvmlDeviceGetName=lambda handle: "NVIDIA H200",
        nvmlDeviceGetMigMode=mode,
        nvmlDeviceGetMaxMigDeviceCount=lambda handle: len(handle["parts"]),
        nvmlDeviceGetMigDeviceHandleByIndex=part,
    )


def test_the_driver_names_whole_devices_and_parts_of_divided_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    divided = {"uuid": "GPU-b", "parts": [{"uuid": "MIG-1"}, None, {"uuid": "MIG-2"}]}
    monkeypatch.setitem(sys.modules, "pynvml", library({"uuid": "GPU-a"}, divided))
    found = devices.find({})
    assert [(gpu.name, gpu.index) for gpu in found] == [("GPU-a", 0), ("MIG-1", None), ("MIG-2", None)]
    assert found[0] == Gpu("GPU-a", "NVIDIA H200", 141 << 30, 0)
    assert [gpu.name for gpu in devices.find({"CUDA_VISIBLE_DEVICES": "0,MIG-2"})] == ["GPU-a", "MIG-2"]


def test_a_driver_that_does_not_answer_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library(fails="Driver/library version mismatch"))
    caplog.set_level("INFO")
    assert [gpu.name for gpu in devices.find({"CUDA_VISIBLE_DEVICES": "1"})] == ["1"]
    assert [record.__dict__["fields"]["detail"] for record in caplog.records] == [
        "Driver/library version mismatch"
    ]


def test_nobody_is_asked_when_the_environment_says_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # importing it would fail
    named = {"TUNEBOOK_GPUS": "left, right", "CUDA_VISIBLE_DEVICES": "0"}
    assert devices.find(named) == (Gpu("left"), Gpu("right"))
    assert devices.find({"CUDA_VISIBLE_DEVICES": ""}) == devices.find({"TUNEBOOK_GPUS": ""}) == ()

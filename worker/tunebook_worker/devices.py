"""Which GPUs a worker has: by NVML, within its CUDA_VISIBLE_DEVICES, or as TUNEBOOK_GPUS says."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunebook_worker.log import note

NONE = frozenset({"-1", "none", "void", "nodevfiles"})
"""What hides every device, in the words of CUDA and of container runtimes."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}")


class NoSuchGpu(Exception):
    """A variable names a device that is not here; the message says which ones are."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """`name`: what a job gets as CUDA_VISIBLE_DEVICES, a UUID where NVML tells it."""

    name: str
    model: str = ""
    memory_bytes: int = 0
    index: int | None = None
    """As `nvidia-smi` counts; None for a part of a divided device."""


def find(environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Asks the driver only where the environment leaves something to ask. Raises NoSuchGpu."""
    chosen = environment.get("TUNEBOOK_GPUS")
    if chosen is not None:
        return _named(words(chosen))
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not _shown(words(visible)):
        return ()
    devices = _by_nvml()
    if visible is None:
        return devices or _by_files()
    return within(devices, words(visible))


def within(devices: Sequence[Gpu], visible: Sequence[str]) -> tuple[Gpu, ...]:
    """The devices that CUDA_VISIBLE_DEVICES names: by index, UUID or the beginning of one; MIG names, and
    all names where no device is known, as they stand. Raises NoSuchGpu."""
    found = []
    for word in _shown(visible):
        matching = [gpu for gpu in devices if _is(gpu, word)]
        if len(matching) == 1:
            found += matching
        elif word.startswith("MIG-") or not devices:
            found.append(Gpu(word))
        else:
            here = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in devices)
            problem = "names several devices" if matching else "is no device"
            raise NoSuchGpu(f"CUDA_VISIBLE_DEVICES={','.join(visible)}: {word} {problem}; here are {here}.")
    return tuple({gpu.name: gpu for gpu in found}.values())


def label(gpus: Sequence[Gpu]) -> str:
    """The model as a word, such as "nvidia-h200"; empty when it is not known, or they are not all alike."""
    models = {gpu.model for gpu in gpus}
    if len(models) != 1:
        return ""
    return re.sub(r"[^a-z0-9_.-]+", "-", models.pop().lower()).strip("_.-")[:64].rstrip("_.-")


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _shown(visible: Sequence[str]) -> list[str]:
    """Up to the first word that hides the rest, as CUDA reads the list."""
    hidden = (place for place, word in enumerate(visible) if word.lower() in NONE)
    return list(visible[: next(hidden, len(visible))])


def _named(names: Sequence[str]) -> tuple[Gpu, ...]:
    for name in names:
        if not NAME.fullmatch(name):
            raise NoSuchGpu(
                f"TUNEBOOK_GPUS: {name!r} is no device's name; give names with commas between, as "
                "CUDA_VISIBLE_DEVICES takes them."
            )
        if names.count(name) > 1:
            raise NoSuchGpu(f"TUNEBOOK_GPUS names {name} twice; name each device once.")
    return tuple(Gpu(name) for name in names)


def _is(gpu: Gpu, word: str) -> bool:
    if word.isdecimal():
        return gpu.index == int(word)
    return gpu.name == word or (word.startswith("GPU-") and gpu.name.startswith(word))


def _by_nvml() -> tuple[Gpu, ...]:
    """Empty when the driver does not answer, for whatever reason: a worker runs without it."""
    try:
        import pynvml

        pynvml.nvmlInit()
        with contextlib.closing(_Session(pynvml)) as session:
            return tuple(session.devices())
    except Exception as error:  # a missing library, another version of it, a device that fell off the bus
        note("NVML does not answer: GPUs go by the numbers of their files in /dev", detail=str(error))
        return ()


class _Session:
    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml

    def close(self) -> None:
        self._nvml.nvmlShutdown()

    def devices(self) -> Iterator[Gpu]:
        """In the order of the bus. Of a device that is divided (MIG) its parts: it cannot be used whole."""
        for index in range(self._nvml.nvmlDeviceGetCount()):
            whole = self._nvml.nvmlDeviceGetHandleByIndex(index)
            if self._is_divided(whole):
                yield from (self._gpu(part, None) for part in self._parts(whole))
            else:
                yield self._gpu(whole, index)

    def _gpu(self, handle: Any, index: int | None) -> Gpu:
        memory = self._nvml.nvmlDeviceGetMemoryInfo(handle).total
        name, model = self._nvml.nvmlDeviceGetUUID(handle), self._nvml.nvmlDeviceGetName(handle)
        return Gpu(name, model, int(memory), index)

    def _is_divided(self, handle: Any) -> bool:
        try:
            return bool(self._nvml.nvmlDeviceGetMigMode(handle)[0] == self._nvml.NVML_DEVICE_MIG_ENABLE)
        except self._nvml.NVMLError:  # a model that cannot be
            return False

    def _parts(self, handle: Any) -> Iterator[Any]:
        for place in range(self._nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            with contextlib.suppress(self._nvml.NVMLError):  # a place that is not taken
                yield self._nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)


def _by_files() -> tuple[Gpu, ...]:
    numbers = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return tuple(Gpu(str(number)) for number in sorted(int(text) for text in numbers if text.isdecimal()))

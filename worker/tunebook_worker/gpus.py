"""A job's own GPUs as NVML sees them. Without a driver, or with one that fails, there is nothing to read."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tunebook_worker.log import note, warn

Values = dict[str, float]


class Gpus:
    """`visible`: the job's CUDA_VISIBLE_DEVICES, numbers or UUIDs between commas; None for none of ours."""

    def __init__(self, visible: str | None) -> None:
        self._nvml: Any = None
        self._handles: dict[str, Any] = {}
        self._complained = False
        wanted = [each.strip() for each in (visible or "").split(",") if each.strip()]
        if wanted:
            self._open(wanted)

    def read(self) -> Values:
        """`gpu0/utilisation_percent` and so on, by the host's own numbers; what fails is left out."""
        values: Values = {}
        for name, handle in self._handles.items():
            for quantity, ask in self._quantities(handle):
                value = self._try(ask)
                if value is not None:
                    values[f"{name}/{quantity}"] = value
        return values

    def _open(self, wanted: list[str]) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception as error:
            note("no GPU metrics", detail=str(error))
            return
        self._nvml = pynvml
        for each in wanted:
            found = self._try(partial(self._find, each))
            if found is not None:
                number, handle = found
                self._handles[f"gpu{number}"] = handle

    def _find(self, device: str) -> tuple[int, Any]:
        if device.isdecimal():
            return int(device), self._nvml.nvmlDeviceGetHandleByIndex(int(device))
        handle = self._nvml.nvmlDeviceGetHandleByUUID(device)
        return int(self._nvml.nvmlDeviceGetIndex(handle)), handle

    def _quantities(self, handle: Any) -> Iterator[tuple[str, Callable[[], float]]]:
        nvml = self._nvml
        yield "utilisation_percent", lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        yield "memory_bytes", lambda: float(nvml.nvmlDeviceGetMemoryInfo(handle).used)
        yield "power_watts", lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000.0
        yield (
            "temperature_celsius",
            lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        )

    def _try(self, ask: Callable[[], Any]) -> Any:
        """None where it fails, which is said once: a card may have fallen off the bus, or know no power."""
        try:
            return ask()
        except Exception as error:
            if not self._complained:
                warn("NVML failed", detail=str(error))
            self._complained = True
            return None

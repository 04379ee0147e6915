"""What a job uses of its host, sampled beside it: ordinary points of metrics whose names begin with system/.

A step is a whole second since the attempt's start, by a clock that no one sets. A value that cannot be had is
left out, for as long as it cannot; sampling never fails and never waits for the job, nor the job for it.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from tunebook_worker.clock import boot_seconds
from tunebook_worker.gpus import Gpus
from tunebook_worker.log import crash
from tunebook_worker.tree import Tree

SETTING = "TUNEBOOK_SYSTEM_METRICS_SECONDS"
PERIOD_SECONDS = 10.0
LEAST_SECONDS, MOST_SECONDS = 1.0, 3600.0
END_SECONDS = 0.2

Values = dict[str, float]


def period(environment: Mapping[str, str]) -> float:
    """Seconds between two samples, 0 for none; raises ValueError with what would be right."""
    text = environment.get(SETTING, "")
    try:
        seconds = float(text) if text else PERIOD_SECONDS
    except ValueError:
        seconds = -1.0
    if seconds != 0 and not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise ValueError(f"{SETTING}={text}: {LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds, or 0 for none.")
    return seconds


class SystemMetrics(threading.Thread):
    """Calls `report` with a record of the spool every `seconds`, in the beginning more often, until `end`."""

    def __init__(
        self, tree: Tree, report: Callable[[dict[str, Any]], object], *, gpu: str | None, seconds: float
    ) -> None:
        super().__init__(name="system metrics", daemon=True)
        self._report, self._seconds = report, seconds
        self._gpu, self._usage = gpu, Usage(tree)
        self._ended = threading.Event()

    def start(self) -> None:
        if self._seconds > 0:
            super().start()

    def end(self) -> None:
        """Before the spool is closed; a driver that hangs is not waited for."""
        self._ended.set()
        if self.is_alive():
            self.join(END_SECONDS)

    def run(self) -> None:
        try:
            self._sample()
        except Exception:  # a training must not end for want of a figure
            crash("system metrics ended")

    def _sample(self) -> None:
        started = boot_seconds()
        gpus = Gpus(self._gpu)
        self._usage.read()
        while not self._ended.wait(min(self._seconds, 1.0 + boot_seconds() - started)):
            values = {**self._usage.read(), **gpus.read()}
            if values and not self._ended.is_set():
                named = {f"system/{name}": value for name, value in values.items()}
                self._report({"type": "report", "step": int(boot_seconds() - started), "values": named})


class Usage:
    """Of all processes of a job together, and of the host's network; rates since the last `read`."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._at = boot_seconds()
        self._spent: dict[tuple[int, float], tuple[float, int, int]] = {}
        """By process: CPU seconds, bytes read, bytes written."""
        self._network: tuple[int, int] | None = None

    def read(self) -> Values:
        now = boot_seconds()
        elapsed, self._at = max(now - self._at, 1e-3), now
        return {**self._of_processes(elapsed), **self._of_network(elapsed)}

    def _of_processes(self, elapsed: float) -> Values:
        before, self._spent = self._spent, {}
        resident = threads = 0
        for process in self._tree.members():
            try:
                with process.oneshot():
                    times, memory = process.cpu_times(), process.memory_info()
                    key = (process.pid, process.create_time())
                    threads += process.num_threads()
                resident += memory.rss
                self._spent[key] = (times.user + times.system, *_io(process))
            except psutil.Error:
                continue  # it ended meanwhile
        if not self._spent:
            return {}
        # What a process spent before it was first seen was spent since the last look.
        spent = [
            sum(used[place] - before.get(key, (0.0, 0, 0))[place] for key, used in self._spent.items())
            for place in range(3)
        ]
        return {
            "cpu_percent": 100.0 * spent[0] / elapsed,
            "memory_bytes": float(resident),
            "processes": float(len(self._spent)),
            "threads": float(threads),
            "disk_read_bytes_per_second": spent[1] / elapsed,
            "disk_write_bytes_per_second": spent[2] / elapsed,
        }

    def _of_network(self, elapsed: float) -> Values:
        """Of the whole host without its loopback: the kernel counts no process's own."""
        try:
            cards = psutil.net_io_counters(pernic=True)
        except (OSError, RuntimeError):
            return {}
        others = [counted for name, counted in cards.items() if name != "lo"]
        received, sent = sum(each.bytes_recv for each in others), sum(each.bytes_sent for each in others)
        before, self._network = self._network, (received, sent)
        if before is None or received < before[0] or sent < before[1]:  # a card has come or gone
            return {}
        return {
            "host_network_received_bytes_per_second": (received - before[0]) / elapsed,
            "host_network_sent_bytes_per_second": (sent - before[1]) / elapsed,
        }


def _io(process: psutil.Process) -> tuple[int, int]:
    try:
        counted = process.io_counters()
    except (psutil.Error, AttributeError, OSError):
        return 0, 0  # not on every system, and not of every process
    return counted.read_bytes, counted.write_bytes

"""What jobs use of their hosts: metrics under `system/`, sampled beside a job and not reported by it.

Their steps are seconds since the start of the attempt. They are no result: no objective, no finding and no
default list of a study's metrics has them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

PREFIX = "system/"
Unit = Literal["%", "B", "B/s", "W", "°C", ""]


@dataclass(frozen=True, slots=True)
class Panel:
    """Metrics that share an axis; `lines` names each by what stands behind `system/`, as a pattern."""

    name: str
    title: str
    unit: Unit
    lines: tuple[tuple[str, str], ...]

    def label(self, metric: str) -> str | None:
        """What the legend calls the metric; None where it is another panel's."""
        for pattern, label in self.lines:
            found = re.fullmatch(PREFIX + pattern, metric)
            if found is not None:
                return label.format(*found.groups())
        return None


PANELS = (
    Panel("gpu", "GPU utilisation", "%", ((r"gpu(\d+)/utilisation_percent", "GPU {}"),)),
    Panel("gpu-memory", "GPU memory", "B", ((r"gpu(\d+)/memory_bytes", "GPU {}"),)),
    Panel("gpu-power", "GPU power", "W", ((r"gpu(\d+)/power_watts", "GPU {}"),)),
    Panel("gpu-temperature", "GPU temperature", "°C", ((r"gpu(\d+)/temperature_celsius", "GPU {}"),)),
    Panel("cpu", "CPU (100 % is one core)", "%", (("cpu_percent", "CPU"),)),
    Panel("memory", "Memory", "B", (("memory_bytes", "resident"),)),
    Panel(
        "disk",
        "Disk",
        "B/s",
        (("disk_read_bytes_per_second", "read"), ("disk_write_bytes_per_second", "written")),
    ),
    Panel(
        "network",
        "Network of the whole host",
        "B/s",
        (
            ("host_network_received_bytes_per_second", "received"),
            ("host_network_sent_bytes_per_second", "sent"),
        ),
    ),
    Panel("threads", "Processes and threads", "", (("threads", "threads"), ("processes", "processes"))),
)
BY_NAME = {panel.name: panel for panel in PANELS}


def is_system(metric: str) -> bool:
    return metric.startswith(PREFIX)


def of_jobs(metrics: Iterable[str]) -> list[str]:
    """What jobs report themselves."""
    return [metric for metric in metrics if not is_system(metric)]


def panels(metrics: Iterable[str]) -> list[Panel]:
    """Those that have something to show of these metrics."""
    known = [metric for metric in metrics if is_system(metric)]
    return [panel for panel in PANELS if any(panel.label(metric) for metric in known)]

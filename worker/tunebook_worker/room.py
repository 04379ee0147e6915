"""What this host can give to trials, and what of it is free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Share:
    """What one trial has for itself; `cpus` of a number of cores, 0 for an undivided share of the host."""

    gpus: tuple[str, ...] = ()
    cpus: int = 0


class Room:
    """Not thread-safe: the thread of the slots alone takes and gives back."""

    def __init__(self, *, slots: int, gpus: Sequence[str], cpus: int) -> None:
        self._slots, self._gpus, self._cpus = slots, list(gpus), cpus
        self._has_gpus = bool(gpus)

    @property
    def free_slots(self) -> int:
        return self._slots

    @property
    def free_gpus(self) -> int:
        return len(self._gpus)

    @property
    def free_cpus(self) -> int:
        return self._cpus

    def take(self, resources: Mapping[str, Any]) -> Share:
        """For a claim that the server gave for what was free."""
        asked = resources.get("gpus")
        gpus = int(self._has_gpus) if asked is None else int(asked)
        cpus = int(resources.get("cpus", 0))
        share = Share(tuple(self._gpus[:gpus]), cpus)
        del self._gpus[:gpus]
        self._slots -= 1
        self._cpus -= cpus
        return share

    def give_back(self, share: Share) -> None:
        self._slots += 1
        self._gpus += share.gpus
        self._cpus += share.cpus

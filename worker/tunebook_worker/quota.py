"""How many trials a worker may have in a cluster, and how large each may be."""

from collections.abc import Mapping
from typing import Any

from tunebook_worker.room import Share


class Quota:
    """Stands where `Room` does on a host: the cluster shares its GPUs and cores out, not the worker."""

    def __init__(self, *, slots: int, gpus: int, cpus: int) -> None:
        self._slots = slots
        self.free_gpus, self.free_cpus = gpus, cpus

    @property
    def free_slots(self) -> int:
        return self._slots

    @property
    def is_wider(self) -> bool:
        """The cluster says nothing of that."""
        return False

    def look(self) -> None:
        """Nothing here is locked."""

    def let_go(self) -> None:
        """Nothing here is locked."""

    def take(self, resources: Mapping[str, Any]) -> Share:
        self._slots -= 1
        return Share()

    def give_back(self, share: Share) -> None:
        self._slots += 1

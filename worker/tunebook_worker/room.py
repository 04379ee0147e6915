"""What this host can give to trials, and what of it is free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebook_worker.device_locks import DeviceLocks, let_go


@dataclass(frozen=True, slots=True)
class Share:
    """What one trial has for itself."""

    gpus: tuple[str, ...] = ()
    locks: tuple[int, ...] = ()
    """The descriptors that hold the locks of these GPUs."""
    cpus: int = 0
    """0: an undivided share of the host."""
    cores: tuple[int, ...] = ()
    """Which ones, where this worker tells its jobs apart by cores."""


class Room:
    """Not thread-safe: the thread of the slots alone takes and gives back.

    GPUs are offered between `look` and `let_go`, while we hold their locks: what the server gives a trial for
    cannot go to another worker meanwhile.
    """

    def __init__(
        self,
        *,
        slots: int,
        gpus: Sequence[str],
        cpus: int,
        cores: Sequence[int] = (),
        locks: DeviceLocks | None = None,
    ) -> None:
        self._slots, self._gpus, self._cpus = slots, list(gpus), cpus
        self._cores, self._locks = list(cores), locks
        self._has_gpus = bool(gpus)
        self._offered: dict[str, tuple[int, ...]] = {}
        """GPUs that a trial may have now, with the descriptors of their locks."""
        self._elsewhere: list[str] = []
        """GPUs that are not ours at the moment, at the last look."""

    @property
    def free_slots(self) -> int:
        return self._slots

    @property
    def free_gpus(self) -> int:
        return len(self._offered)

    @property
    def free_cpus(self) -> int:
        return self._cpus

    @property
    def is_wider(self) -> bool:
        """Whether a GPU that somebody else had at the last look is free by now."""
        return self._locks is not None and any(map(self._locks.is_free, self._elsewhere))

    def look(self) -> None:
        """Offers every GPU that no trial has, of this worker or of another on this host."""
        for gpu in self._gpus:
            if gpu not in self._offered and (locks := self._lock(gpu)) is not None:
                self._offered[gpu] = locks
        self._elsewhere = [gpu for gpu in self._gpus if gpu not in self._offered]

    def let_go(self) -> None:
        """Offers none any more."""
        for locks in self._offered.values():
            let_go(locks)
        self._offered.clear()

    def take(self, resources: Mapping[str, Any]) -> Share:
        """For a claim that the server gave for what was free."""
        asked = resources.get("gpus")
        gpus = list(self._offered)[: int(self._has_gpus) if asked is None else int(asked)]
        locks = tuple(lock for gpu in gpus for lock in self._offered.pop(gpu))
        self._gpus = [gpu for gpu in self._gpus if gpu not in gpus]
        cpus = int(resources.get("cpus", 0))
        cores = tuple(self._cores[:cpus])
        del self._cores[:cpus]
        self._slots -= 1
        self._cpus -= cpus
        return Share(tuple(gpus), locks, cpus, cores)

    def give_back(self, share: Share) -> None:
        let_go(share.locks)
        self._slots += 1
        self._gpus += share.gpus
        self._cpus += share.cpus
        self._cores = sorted((*self._cores, *share.cores))

    def _lock(self, gpu: str) -> tuple[int, ...] | None:
        if self._locks is None:
            return ()
        lock = self._locks.take(gpu)
        return None if lock is None else (lock,)

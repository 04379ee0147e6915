"""What a process keeps of the studies that it was asked about last."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from tunebook_server.storage.engine import Engine

STUDIES_KEPT = 32


Kept = TypeVar("Kept")


class KeptStudies(Generic[Kept]):
    """An entry for each of the last `STUDIES_KEPT` studies of each engine, gone with the engine."""

    def __init__(self, make: Callable[[], Kept]) -> None:
        self._make = make
        self._entries: WeakKeyDictionary[Engine, OrderedDict[int, Kept]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def entry(self, engine: Engine, study_id: int) -> Kept:
        with self._lock:
            entries = self._entries.setdefault(engine, OrderedDict())
            if study_id not in entries:
                entries[study_id] = self._make()
            entries.move_to_end(study_id)
            while len(entries) > STUDIES_KEPT:
                entries.popitem(last=False)
            return entries[study_id]

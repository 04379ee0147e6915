"""What was judged at the rungs of a study, kept per process and read on from where it was read before."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tunebook_server.domain.samplers.fidelity import Reached
from tunebook_server.domain.study import Study
from tunebook_server.services.kept import KeptStudies
from tunebook_server.storage import rungs
from tunebook_server.storage.engine import Engine, transaction
from tunebook_server.storage.rungs import Rung

READ_AT_ONCE = 10_000
NOTHING = Reached(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    rungs: list[Rung] = field(default_factory=list)
    reached: Reached = NOTHING
    paused: dict[int, int] = field(default_factory=dict)
    """By id the places of those whose trials had not had their next turn."""

    def add(self, more: Sequence[Rung]) -> None:
        for place, each in enumerate(more, len(self.rungs)):
            if each.decision == "pause":
                self.paused[each.id] = place
        self.rungs += more
        self.reached = self.reached.with_more(
            [each.trial_id for each in more], [each.step for each in more], [each.loss for each in more]
        )

    def settle(self, again: Sequence[Rung]) -> None:
        for each in again:
            if each.decision != "pause":
                self.rungs[self.paused.pop(each.id)] = each

    def clear(self) -> None:
        self.rungs.clear()
        self.paused.clear()
        self.reached = NOTHING


_studies = KeptStudies(_Kept)


def reached(engine: Engine, study: Study) -> Reached | None:
    """None for a study whose trials are never judged."""
    if study.scheduling().next_rung(0, None) is None:
        return None
    kept = _studies.entry(engine, study.id)
    with kept.lock:
        _read_on(engine, study.id, kept)
        return kept.reached


def judged(engine: Engine, study: Study) -> list[Rung]:
    """All of them, in the order of decisions."""
    kept = _studies.entry(engine, study.id)
    with kept.lock:
        _read_on(engine, study.id, kept)
        if kept.paused:
            with transaction(engine) as connection:
                kept.settle(rungs.some(connection, list(kept.paused)))
        return list(kept.rungs)


def _read_on(engine: Engine, study_id: int, kept: _Kept) -> None:
    while True:
        last = kept.rungs[-1] if kept.rungs else None
        with transaction(engine) as connection:
            found = rungs.since(connection, study_id, last.id if last else 0, READ_AT_ONCE)
        if last is not None:
            if not found or _name(found[0]) != _name(last):
                kept.clear()  # another database under the same name: a restored backup
                continue
            del found[0]
        kept.add(found)
        if len(found) < READ_AT_ONCE - 1:
            return


def _name(rung: Rung) -> tuple[int, int, int]:
    return rung.id, rung.trial_id, rung.step

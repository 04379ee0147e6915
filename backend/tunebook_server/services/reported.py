"""What the last report left of a trial, per process: the next one is then written without asking for it.

A guess, no truth: storage writes on it only while the trial has taken no other report since
(`Target.reports`), so a process that knows nothing, or something old, is slower by one round trip and never
wrong.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from tunebook_server.domain.batch import Batch
from tunebook_server.storage.engine import Engine
from tunebook_server.storage.metrics import Target

SERIES_KEPT = 200_000
"""Of all trials together: about 40 MB."""


@dataclass(frozen=True, slots=True)
class Series:
    metric_id: int
    last_step: int


@dataclass(frozen=True, slots=True)
class Reported:
    """The trial after its report `sequence`, the highest of its attempt, and the curves that are known."""

    target: Target
    sequence: int
    curves: Mapping[str, Series]

    def continued_by(self, epoch: int, sequence: int, content: Batch) -> tuple[int, ...] | None:
        """The ids of the batch's metrics where all of it comes after what was there, else None."""
        if epoch != self.target.epoch or sequence <= self.sequence:
            return None
        found = [self.curves.get(name) for name in content.names]
        known = [series for series in found if series is not None]
        if len(known) < len(found):
            return None
        if any(series.last_step >= first for series, first in zip(known, content.first_step, strict=True)):
            return None
        return tuple(series.metric_id for series in known)


class _Kept:
    """The trials that reported last, in that order."""

    def __init__(self) -> None:
        self.trials: OrderedDict[int, Reported] = OrderedDict()
        self.series = 0

    def put(self, reported: Reported) -> None:
        self.drop(reported.target.trial_id)
        self.trials[reported.target.trial_id] = reported
        self.series += len(reported.curves)
        while self.series > SERIES_KEPT:
            self.drop(next(iter(self.trials)))

    def drop(self, trial_id: int) -> None:
        dropped = self.trials.pop(trial_id, None)
        self.series -= len(dropped.curves) if dropped else 0


_kept: WeakKeyDictionary[Engine, _Kept] = WeakKeyDictionary()
_lock = threading.Lock()


def last(engine: Engine, trial_id: int) -> Reported | None:
    with _lock:
        kept = _kept.get(engine)
        return kept.trials.get(trial_id) if kept else None


def note(engine: Engine, target: Target, sequence: int, content: Batch, metric_ids: tuple[int, ...]) -> None:
    """After the commit: `target` as the report has left it."""
    now = {
        name: Series(metric_id, step)
        for name, metric_id, step in zip(content.names, metric_ids, content.last_step.tolist(), strict=True)
    }
    with _lock:
        kept = _kept.setdefault(engine, _Kept())
        before = kept.trials.get(target.trial_id)
        unbroken = before is not None and _is_next(before.target, target)
        kept.put(Reported(target, sequence, {**before.curves, **now} if before and unbroken else now))


def forget(engine: Engine, trial_id: int) -> None:
    with _lock:
        if engine in _kept:
            _kept[engine].drop(trial_id)


def _is_next(before: Target, after: Target) -> bool:
    return (before.epoch, before.reports + 1) == (after.epoch, after.reports)

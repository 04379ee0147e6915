"""The sweep: what must happen though nobody asks. One process at a time, whichever holds the lock.

Instead of Celery's beat: a beat inside a worker outlives a killed worker, and a second process only for a
clock is one more thing to die.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from tunebook_server import broker
from tunebook_server.services import cleaning, compaction, leases, sampling
from tunebook_server.storage.engine import Engine
from tunebook_server.storage.locks import SWEEP_LOCK, try_lock

CLEAN_EVERY_SECONDS = 60.0
COMPACTED_CURVES = 100

Step = Callable[[Engine], object]

_log = logging.getLogger(__name__)


def expire_leases(engine: Engine) -> None:
    waited_for = leases.welcome_back(engine)
    if waited_for:
        _log.info("back after a while: %d loops have a whole lease to come back, too", waited_for)
    swept = leases.sweep(engine)
    if swept.requeued or swept.failed:
        _log.info("leases ran out: %d trials queued again, %d failed", len(swept.requeued), len(swept.failed))
    broker.hint(swept.hints)


def sample_ahead(engine: Engine) -> None:
    broker.hint(sampling.fill_all(engine))


def hint_again(engine: Engine) -> None:
    broker.hint(leases.hints_due(engine))


def compact_curves(engine: Engine) -> None:
    compaction.compact(engine, limit=COMPACTED_CURVES)


class Clean:
    """Deletes what has grown old, once a minute."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, engine: Engine) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + CLEAN_EVERY_SECONDS
            cleaning.clean(engine)


STEPS: Sequence[Step] = (expire_leases, sample_ahead, hint_again, compact_curves)


class Sweep(threading.Thread):
    """Takes all steps each `seconds` until `stop()`; one that fails is logged and the others still run."""

    def __init__(
        self, engine: Engine, *, seconds: float, steps: Sequence[Step] | None = None, lock: int = SWEEP_LOCK
    ) -> None:
        super().__init__(name="sweep", daemon=True)
        self.engine = engine
        self.seconds = seconds
        self.steps = (*STEPS, Clean()) if steps is None else steps
        self.lock = lock
        self.failures = 0
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            self._attempt(self.pass_once)
            self._stopping.wait(max(0.0, self.seconds - (time.monotonic() - started)))

    def stop(self, timeout_seconds: float = 5.0) -> None:
        self._stopping.set()
        self.join(timeout_seconds)

    def pass_once(self) -> None:
        with try_lock(self.engine, self.lock) as held:
            if not held:
                return
            for step in self.steps:
                self._attempt(lambda step=step: step(self.engine))  # type: ignore[misc]

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception:
            self.failures += 1
            _log.exception("a step of the sweep failed; the next sweep tries again")

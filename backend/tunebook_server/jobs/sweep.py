"""The sweep: what must happen though nobody asks. One process at a time, whichever holds the lock.

Instead of Celery's beat: a beat inside a worker outlives a killed worker, and a second process only for a
clock is one more thing to die.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from tunebook_server import broker
from tunebook_server.jobs.hinting import hint
from tunebook_server.services import cleaning, compaction, leases, restoring, sampling, watching
from tunebook_server.storage.engine import Engine
from tunebook_server.storage.locks import SWEEP_LOCK, try_lock

CLEAN_EVERY_SECONDS = 60.0
COMPACTED_CURVES = 100

Step = Callable[[Engine], object]

_log = logging.getLogger(__name__)


def notice_restore(engine: Engine) -> None:
    marked = restoring.notice(engine)
    if marked is not None:
        _log.warning("the database was restored: generation %s begins", marked.generation)


def expire_leases(engine: Engine) -> None:
    waited_for = leases.welcome_back(engine)
    if waited_for:
        _log.info("back after a while: %d loops have a whole lease to come back, too", waited_for)
    swept = leases.sweep(engine)
    for trial_id, epoch in swept.epochs.items():
        _log.warning("a lease ran out", extra={"trial_id": trial_id, "epoch": epoch})
    hint(engine, swept.hints)


def sample_ahead(engine: Engine) -> None:
    hint(engine, sampling.fill_all(engine))


def hint_again(engine: Engine) -> None:
    hint(engine, leases.hints_due(engine))


def compact_curves(engine: Engine) -> int:
    return compaction.compact(engine, limit=COMPACTED_CURVES)


class Clean:
    """Deletes what has grown old, once a minute."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, engine: Engine) -> int:
        if time.monotonic() < self._due:
            return 0
        self._due = time.monotonic() + CLEAN_EVERY_SECONDS
        return sum(cleaning.clean(engine).values())


STEPS: Sequence[Step] = (notice_restore, expire_leases, sample_ahead, hint_again, compact_curves)


class Sweep(threading.Thread):
    """Takes all steps each `seconds` until `stop()`; one that fails is logged and the others still run."""

    def __init__(
        self,
        engine: Engine,
        *,
        seconds: float,
        steps: Sequence[Step] | None = None,
        lock: int = SWEEP_LOCK,
        part: str = "sweep",
        begin: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(name="sweep", daemon=True)
        self.engine = engine
        self.seconds = seconds
        self.steps: Sequence[Step] = (*STEPS, Clean()) if steps is None else steps
        self.lock = lock
        self.begin = begin
        """Called before each pass, also by the processes that do not hold the lock."""
        self.part = part
        self.failures = 0
        self._totals: defaultdict[str, float] = defaultdict(float)
        self._hints = broker.Counts()
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            self._attempt(self.begin, self.part)
            self._attempt(self.pass_once, self.part)
            self._attempt(self._tell, self.part)
            self._stopping.wait(max(0.0, self.seconds - (time.monotonic() - started)))

    def stop(self, timeout_seconds: float = 5.0) -> None:
        self._stopping.set()
        self.join(timeout_seconds)

    def pass_once(self) -> None:
        with try_lock(self.engine, self.lock) as held:
            if not held:
                return
            started = time.monotonic()
            for step in self.steps:
                self._attempt(
                    partial(step, self.engine), getattr(step, "__name__", type(step).__name__.lower())
                )
            self._totals[f"{self.part}.passes"] += 1
            self._totals[f"{self.part}.seconds"] += time.monotonic() - started

    def _attempt(self, step: Callable[[], object], part: str) -> None:
        started = time.monotonic()
        try:
            done = step()
        except Exception:
            self.failures += 1
            self._totals[f"{part}.failures"] += 1
            _log.exception("a step of the sweep failed; the next sweep tries again")
        else:
            self._totals[f"{part}.done"] += done if isinstance(done, int) else 0
        if part != self.part:
            self._totals[f"{part}.seconds"] += time.monotonic() - started

    def _tell(self) -> None:
        """To the database, where every server finds it: kept until it is there."""
        if self.part == "sweep":
            self._count_hints()
        told, self._totals = self._totals, defaultdict(float)
        try:
            watching.add(self.engine, {name: more for name, more in told.items() if more})
        except Exception:
            for name, more in told.items():
                self._totals[name] += more
            raise

    def _count_hints(self) -> None:
        """Of this process, since it last told of them."""
        counts, before = replace(broker.counts()), self._hints
        for result in ("sent", "failed", "dropped"):
            more = getattr(counts, result) - getattr(before, result)
            self._totals[f"hints.{result}"] += max(more, 0)
        self._hints = counts

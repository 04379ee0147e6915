"""Attempts that an engine places: submitted, watched with one question for all, settled when they end badly.

An attempt that ends well ends by itself: its supervisor delivers everything and removes the folder. This side
speaks for those whose supervisor cannot: it never began, or died, or was taken away.
"""

import contextlib
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tunebook.api import Api
from tunebook_worker import outcome
from tunebook_worker.delivery import Delivery
from tunebook_worker.launchers.engine import Engine, EngineDown, EngineJob, EngineState, Refused, Seen
from tunebook_worker.launchers.launcher import JobState
from tunebook_worker.log import crash, note, warn
from tunebook_worker.orders import JobFolder, Order, Word
from tunebook_worker.outcome import Outcome

START_SECONDS = 300.0
"""The worker beats for a job that runs but whose supervisor has not begun, for so long: nodes can be slow."""
LISTED_SECONDS = 10.0
"""An engine may take a moment to list what it has just taken."""
SETTLERS = 4
LAST_LINES_BYTES = 2000


@dataclass(slots=True)
class Placed:
    order: Order
    folder: JobFolder
    job: EngineJob
    submitted_at: float | None = None
    """By `time.monotonic()`; None until the engine has taken it."""
    running_since: float | None = None
    over_since: float | None = None
    """When the engine was first heard to say that it does not run."""
    was: JobState = JobState.WAITING
    told: Word | None = None
    settling: Future[None] | None = None


class EngineLauncher:
    """All but `takes` is for the slots' thread alone, except `tell`, which only notes the word."""

    def __init__(
        self,
        engine: Engine,
        *,
        jobs_folder: Path,
        poll_seconds: float,
        default_gpus: int,
        changed: Callable[[], None],
    ) -> None:
        self.poll_seconds = poll_seconds
        self.takes = True
        self._engine, self._jobs_folder, self._changed = engine, jobs_folder, changed
        self._default_gpus = default_gpus
        self._placed: dict[str, Placed] = {}
        self._settlers = ThreadPoolExecutor(SETTLERS, thread_name_prefix="settle")

    def adopt(self) -> Sequence[Order]:
        orders = list(self._left())
        for order in orders:
            placed = self._place(order)
            if placed.folder.submitted.exists():
                placed.submitted_at = time.monotonic()
            said = placed.folder.read_word().decode()
            placed.told = Word(said) if said else None
        if orders:
            note("jobs of an earlier run are found again", engine=self._engine.title, jobs=len(orders))
        return orders

    def submit(self, order: Order) -> str:
        name = f"tunebook-{order.name}-{secrets.token_hex(4)}"
        order = replace(order, engine=self._engine.title, engine_job=name)
        placed = self._place(order)
        try:
            placed.folder.write_order(order)
            self._bring(placed)
        except EngineDown as error:
            self._is_away(error)
        except OSError as error:
            self._settle(placed, outcome.failed(f"The order could not be written: {error}"))
        return order.name

    def poll(self, jobs: Collection[str]) -> Mapping[str, JobState]:
        jobs = [job for job in jobs if job in self._placed]
        try:
            seen = self._engine.jobs()
            self._is_back()
            for job in jobs:
                self._look_at(self._placed[job], seen.get(self._placed[job].job.name))
            self._pass_words_on(seen)
        except EngineDown as error:
            self._is_away(error)
        states = {job: self._placed[job].was for job in jobs}
        for job in [job for job, state in states.items() if state is JobState.ENDED]:
            del self._placed[job]
        return states

    def tell(self, job: str, word: Word) -> None:
        placed = self._placed.get(job)
        if placed is not None:
            placed.told = word
            placed.folder.write_word(word)

    def logs(self, job: str, limit_bytes: int) -> bytes:
        placed = self._placed.get(job)
        return b"" if placed is None else self._engine.logs(placed.job, limit_bytes)

    def _left(self) -> Iterator[Order]:
        for path in sorted(self._jobs_folder.glob("*-*/order.json")):
            try:
                order = JobFolder(path.parent).read_order()
            except (OSError, ValueError, TypeError) as error:
                warn("an order cannot be read", path=str(path), detail=str(error))
                continue
            if order is not None and order.engine == self._engine.title:
                yield order

    def _place(self, order: Order) -> Placed:
        folder = JobFolder(Path(order.folder))
        needs = (order.claim["template"] or {}).get("resources", {})
        gpus = needs.get("gpus")
        job = EngineJob(
            name=order.engine_job,
            folder=folder.path,
            log=folder.engine_log,
            gpus=self._default_gpus if gpus is None else int(gpus),
            cpus=int(needs.get("cpus", 0)),
            labels=needs.get("labels", {}),
            notice_seconds=2 * order.grace_seconds,
        )
        self._placed[order.name] = Placed(order, folder, job)
        return self._placed[order.name]

    def _bring(self, placed: Placed) -> None:
        try:
            self._engine.submit(placed.job)
        except Refused as error:
            self._settle(placed, outcome.failed(f"{self._engine.title} refused the job: {error}"))
            return
        placed.submitted_at = time.monotonic()
        with contextlib.suppress(OSError):  # then the engine's list says it, or the attempt has ended already
            placed.folder.submitted.touch(mode=0o600)

    def _look_at(self, placed: Placed, seen: Seen | None) -> None:
        if placed.settling is not None:
            placed.was = JobState.ENDED if placed.settling.done() else JobState.RUNNING
        elif not placed.folder.order.exists():  # all is acknowledged
            placed.was = self._leaving(seen)
        elif seen is None:
            self._look_for(placed)
        elif seen.state is EngineState.WAITING and placed.folder.begun.exists():
            self._engine.withdraw([seen.id])
            words = f"{self._engine.title} queued the job again: {seen.detail}"
            self._settle_when_over(placed, outcome.preempted(words))
        elif seen.state is EngineState.WAITING:
            placed.was, placed.running_since = JobState.WAITING, None
        elif seen.state is EngineState.RUNNING:
            placed.was = self._running(placed)
        else:
            self._settle_when_over(placed, self._verdict(placed, seen))
        if seen is not None and placed.submitted_at is None:
            placed.submitted_at = time.monotonic()  # the engine took it, and we did not hear so

    def _leaving(self, seen: Seen | None) -> JobState:
        """Of an attempt that has ended well: the engine may queue its job again once it is off the node."""
        if seen is not None and seen.state is EngineState.WAITING:
            self._engine.withdraw([seen.id])
        still_there = seen is not None and seen.state is EngineState.RUNNING
        return JobState.RUNNING if still_there else JobState.ENDED

    def _look_for(self, placed: Placed) -> None:
        """The engine does not list it."""
        if placed.told is None and placed.submitted_at is None and not placed.folder.begun.exists():
            self._bring(placed)
        elif placed.submitted_at is None or time.monotonic() - placed.submitted_at > LISTED_SECONDS:
            self._settle_when_over(placed, self._verdict(placed, None))

    def _running(self, placed: Placed) -> JobState:
        if placed.folder.begun.exists():
            return JobState.RUNNING
        placed.running_since = placed.running_since or time.monotonic()
        late = time.monotonic() - placed.running_since > START_SECONDS
        return JobState.RUNNING if late else JobState.WAITING

    def _verdict(self, placed: Placed, seen: Seen | None) -> Outcome:
        """What is said of an attempt whose supervisor did not end it."""
        engine, begun = self._engine.title, placed.folder.begun.exists()
        if placed.told is not None:
            return outcome.released("The worker is shutting down.")
        if seen is not None and seen.state is EngineState.TAKEN:
            return outcome.preempted(f"{engine} ended the job: {seen.detail}")
        words = f"{engine} does not know the job any more" if seen is None else f"{engine} says {seen.detail}"
        if begun:
            return outcome.failed(f"The supervisor ended without a word; {words}.")
        if seen is None:
            return outcome.failed(f"vanished: {words}, and its supervisor never began.")
        said = self._engine.logs(placed.job, LAST_LINES_BYTES).decode(errors="replace").strip()
        said = f": {said[-300:]}" if said else "."
        return outcome.failed(f"The supervisor never began; {words}{said}")

    def _pass_words_on(self, seen: Mapping[str, Seen]) -> None:
        told = [p for p in self._placed.values() if p.told and p.folder.order.exists()]
        found = [seen[placed.job.name] for placed in told if placed.job.name in seen]
        waiting = [one.id for one in found if one.state is EngineState.WAITING]
        running = [one.id for one in found if one.state is EngineState.RUNNING]
        if waiting:
            self._engine.withdraw(waiting)
        if running:
            self._engine.interrupt(running)

    def _settle_when_over(self, placed: Placed, ending: Outcome) -> None:
        """An engine that lost sight of a node, or its memory, does not know that a supervisor runs on;
        its lock does. After a fence's time it beats, and is told, or it has ended itself."""
        placed.over_since = placed.over_since or time.monotonic()
        patient = time.monotonic() - placed.over_since < float(placed.order.claim["fence_seconds"])
        if patient and placed.folder.is_held():
            placed.was = JobState.RUNNING
        else:
            self._settle(placed, ending)

    def _settle(self, placed: Placed, ending: Outcome) -> None:
        note("an attempt is settled", job=placed.order.name, verb=ending.verb, reason=ending.reason)
        placed.was = JobState.RUNNING
        placed.settling = self._settlers.submit(self._deliver, placed, ending)

    def _deliver(self, placed: Placed, ending: Outcome) -> None:
        """What its supervisor left on disk, then the outcome; in vain when the trial is another's by now."""
        order = placed.order
        api = Api(order.url, str(order.claim["token"]))
        try:
            delivery = Delivery(api, order, folder=placed.folder, listener=Unconcerned())
            delivery.conclude(ending)
            delivery.give_up_after(float(order.claim["lease_seconds"]))
            delivery.run()
            if delivery.acknowledged:
                shutil.rmtree(placed.folder.path, ignore_errors=True)
            placed.folder.order.unlink(missing_ok=True)
        except Exception:
            crash("an attempt was not settled", job=order.name)
        finally:
            api.close()
            self._changed()

    def _is_away(self, error: EngineDown) -> None:
        if self.takes:
            warn("the engine does not answer", engine=self._engine.title, detail=str(error))
        self.takes = False

    def _is_back(self) -> None:
        if not self.takes:
            note("the engine answers again", engine=self._engine.title)
        self.takes = True


class Unconcerned:
    """Of a delivery whose job does not run: there is nothing to end."""

    def cancelled(self) -> None: ...

    def paused(self) -> None: ...

    def fenced(self, reason: str) -> None: ...

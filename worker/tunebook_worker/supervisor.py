"""One attempt at one trial, from claim to acknowledged end: `python -m tunebook_worker.supervisor`.

The order comes on stdin. Events (the job's end, a cancel, a lost lease, a deadline, a drain, the worker's
death) arrive in one queue, and `Supervision` alone decides what follows from them.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from tunebook.api import Api
from tunebook_worker import launch, log, orders, outcome, resuming
from tunebook_worker.beats import Beats
from tunebook_worker.capture import Capture
from tunebook_worker.clock import boot_seconds
from tunebook_worker.deadlines import Deadlines
from tunebook_worker.delivery import Delivery
from tunebook_worker.events import Event, Events, Kind
from tunebook_worker.kernel import adopt_orphans, keep_private, reap_adopted
from tunebook_worker.orders import JobFolder, Order, Resume
from tunebook_worker.outcome import Outcome
from tunebook_worker.system_metrics import SystemMetrics, period
from tunebook_worker.tree import Tree

STDIN, STDOUT = 0, 1
TICK_SECONDS = 0.5
LAST_WORDS_SECONDS = 3.0
"""How long an orphaned or hurried supervisor may still talk to the server."""
AFTERMATH_SECONDS = 2.0
"""For what a job leaves running when its first process has ended."""

SHUTTING_DOWN = "The worker is shutting down."
TERMINATED = frozenset({-signal.SIGTERM, 128 + signal.SIGTERM})
TERMINATED_SECONDS = 1.0
"""An engine ends all processes of a job at once; the training may be gone before we hear of it."""


class Cause(IntEnum):
    """Why the job is being ended; a higher one overrides a lower one."""

    NONE = 0
    DRAINED = 1
    PREEMPTED = 2
    OVERDUE = 3
    PAUSED = 4
    CANCELLED = 5
    ORPHANED = 6
    FENCED = 7


class Status(IntEnum):
    """The supervisor's own exit status; anything else means that it died."""

    ACKNOWLEDGED = 0
    KEPT = 3
    """The server has not acknowledged the end; what was recorded stays in the job folder."""


class Supervision:
    def __init__(self, order: Order, said: Iterator[bytes]) -> None:
        self.order = order
        self.said = said
        """What the worker says after the order."""
        self.folder = JobFolder(Path(order.folder))
        self.tree = Tree(self.folder.job_file, adopting=True)
        self.events = Events()
        self.cause = Cause.NONE
        self.reason = ""
        """Of the cause, where it has one."""
        self.deadlines: Deadlines | None = None
        self.kill_at: float | None = None
        api = Api(order.url, str(order.claim["token"]))
        self.beats = Beats(api, order, listener=self.events)
        self.delivery = Delivery(api, order, folder=self.folder, listener=self.events)
        self.fence_seconds = float(order.claim["fence_seconds"])
        self.patience_seconds: float | None = None
        """How long the end may take to be acknowledged; None: as long as it takes."""

    def run(self) -> Status:
        job: subprocess.Popen[bytes] | None = None
        if not self.order.salvage and self.beats.silent_seconds() >= self.fence_seconds:
            return Status.KEPT  # this process slept through its lease
        for number in {"SIGTERM", "SIGINT", *self.order.preempt_signals}:
            signal.signal(signal.Signals[number], self.events.signalled)
        try:
            self.folder.prepare(self.order)
            ending = outcome.failed(self.order.salvage, self.order.salvage_status)
            if self.order.preempted:
                ending = outcome.preempted(self.order.salvage)
            if not self.order.salvage:
                resume = self._resume()
                ending = self._judge(self.cause, exit_status=-signal.SIGKILL, last_words="")
                if self.cause is Cause.NONE:
                    self.folder.describe(self.order, resume)
                    job = self._launch(resume)
        except resuming.Elsewhere as error:
            ending = outcome.released(outcome.clean(str(error)))
        except (launch.LaunchFailed, OSError) as error:
            ending = outcome.failed(str(error))
        listening = threading.Thread(target=self.events.listen, args=(self.said,), daemon=True)
        for thread in (listening, self.beats, self.delivery):
            thread.start()
        if job is not None:
            ending = self._train(job)
        return self._settle(ending)

    def _resume(self) -> Resume:
        """May take as long as a download: this beats and hears meanwhile, and is over when `cause` is set."""
        wanted = resuming.errand(self.order, self.folder)
        if wanted is None:
            return Resume()
        if not resuming.needs_download(wanted):
            return resuming.look(wanted)
        child = resuming.start(wanted)
        try:
            while child.poll() is None and self.cause is Cause.NONE:
                self.events.hear(self.said, STDIN)
                self.beats.beat_if_due()
                self._react(self._tick(child.pid, within_seconds=TICK_SECONDS / 5))
            return Resume() if self.cause is not Cause.NONE else resuming.ended(wanted, child)
        finally:
            child.kill()
            child.wait()

    def _launch(self, resume: Resume) -> subprocess.Popen[bytes]:
        template = self.order.claim["template"]
        if not template:
            raise launch.LaunchFailed("The study names no job template, so there is nothing to start.")
        argv = launch.words(template["argv"], self.order.claim["trial"]["parameters"])
        environment = launch.surroundings(
            template["environment"],
            os.environ,
            job_file=self.folder.job_file,
            gpus=self.order.gpus,
            threads=self.order.threads,
        )
        job = launch.start(
            argv,
            folder=template["folder"],
            environment=environment,
            processes=self.order.processes,
            grace_seconds=self.order.grace_seconds,
            cores=self.order.cores,
            locks=self.order.locks,
            door=self.tree.enclose(),
        )
        self.deadlines = Deadlines(self.folder, template)
        self.tree.session = job.pid
        _say(orders.session_line(job.pid))
        devices = self.order.devices
        captured = {"cuda_visible_devices": devices} if devices is not None else {}
        self.delivery.announce(captured, socket.gethostname(), resume.told)
        return job

    def _train(self, job: subprocess.Popen[bytes]) -> Outcome:
        """Until the job's processes are gone and all they said is in the spools."""
        assert job.stdout is not None
        assert job.stderr is not None
        capture = Capture(self.folder, job.stdout, job.stderr)
        threading.Thread(target=self.events.watch, args=(job.pid,), daemon=True).start()
        gpu, seconds = self.order.devices, period(os.environ)
        sampling = SystemMetrics(self.tree, capture.report, gpu=gpu, seconds=seconds)
        sampling.start()
        event: Event | None = None
        while event is None or event.kind is not Kind.EXITED:
            event = self._tick(job.pid)
            self._react(event)
        exit_status = job.wait()
        sampling.end()
        if self.order.engine and exit_status in TERMINATED and self.cause is Cause.NONE:
            self._react(self.events.next(TERMINATED_SECONDS))
        cause = self.cause
        self._end_rest()
        capture.close(LAST_WORDS_SECONDS)
        return self._judge(cause, exit_status, capture.last_words)

    def _judge(self, cause: Cause, exit_status: int, last_words: str) -> Outcome:
        """`cause`: why the job was being ended when its first process ended."""
        match cause:
            case Cause.CANCELLED | Cause.PAUSED:
                return outcome.stopped(exit_status)
            case Cause.DRAINED:
                return outcome.released(SHUTTING_DOWN)
            case Cause.PREEMPTED:
                return self._preempted()
            case Cause.OVERDUE:
                return outcome.failed(self.reason)
            case Cause.ORPHANED:
                return outcome.left()
        return outcome.of_exit(exit_status, last_words)

    def _preempted(self) -> Outcome:
        """Given back uncharged. On a node of a cluster the worker's own word comes with a signal too."""
        if not self.order.engine:
            by = f" by {self.reason}" if self.reason else ""
            return outcome.preempted(f"The host was taken back{by}.")
        if self.folder.read_word():
            return outcome.released(SHUTTING_DOWN)
        return outcome.preempted(f"{self.order.engine} ended the job.")

    def _tick(self, job_pid: int | None, within_seconds: float = TICK_SECONDS) -> Event | None:
        """The next event, or None after a moment: the time to look at the clocks."""
        _say(orders.ALIVE)
        reap_adopted(except_pid=job_pid)
        if self.beats.silent_seconds() >= self.fence_seconds and self.cause < Cause.FENCED:
            return Event(Kind.FENCED, f"no answer to a heartbeat for {self.fence_seconds:g} s")
        if job_pid is not None and self.cause is Cause.NONE and (late := self._overdue()):
            return Event(Kind.OVERDUE, late)
        if self.kill_at is not None and boot_seconds() >= self.kill_at:
            self.tree.signal(signal.SIGKILL)
        return self.events.next(within_seconds)

    def _overdue(self) -> str:
        return self.deadlines.passed() if self.deadlines is not None else ""

    def _react(self, event: Event | None) -> None:
        """While something of the job still runs."""
        self._hurry(event)
        match event:
            case Event(Kind.FENCED, detail=reason):
                log.warn("fenced off", reason=reason)
                self._end_job(Cause.FENCED, grace_seconds=0.0)
            case Event(Kind.ORPHANED):
                self._end_job(Cause.ORPHANED, grace_seconds=0.0)
            case Event(Kind.CANCELLED):
                self._end_job(Cause.CANCELLED, self.order.grace_seconds)
            case Event(Kind.PAUSED):
                self._end_job(Cause.PAUSED, self.order.grace_seconds)
            case Event(Kind.OVERDUE, detail=reason):
                log.warn("overdue", trial_id=self.order.trial_id, epoch=self.order.epoch, reason=reason)
                self._end_job(Cause.OVERDUE, self.order.grace_seconds, reason)
            case Event(Kind.PREEMPTED, detail=reason):
                self._end_job(Cause.PREEMPTED, self.order.grace_seconds, reason)
            case Event(Kind.DRAINING):
                self._end_job(Cause.DRAINED, self.order.grace_seconds)
            case Event(Kind.STOPPING):
                self._end_job(Cause.DRAINED, grace_seconds=0.0)

    def _hurry(self, event: Event | None) -> None:
        """A worker that shuts down, or has died, cannot wait for the server for ever."""
        gently = {Kind.DRAINING, Kind.PREEMPTED}
        if event is None or event.kind not in {*gently, Kind.STOPPING, Kind.ORPHANED}:
            return
        seconds = self.order.grace_seconds if event.kind in gently else LAST_WORDS_SECONDS
        if self.patience_seconds is None or seconds < self.patience_seconds:
            self.patience_seconds = seconds

    def _end_job(self, cause: Cause, grace_seconds: float, reason: str = "") -> None:
        """SIGTERM for the first process, which knows its children; SIGKILL for all after the grace."""
        until = boot_seconds() + grace_seconds
        first = self.kill_at is None
        self.kill_at = until if self.kill_at is None else min(self.kill_at, until)
        if cause > self.cause:
            self.cause, self.reason = cause, reason
        if grace_seconds <= 0:
            self.tree.signal(signal.SIGKILL)
        elif first and self.tree.session is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.tree.session, signal.SIGTERM)

    def _end_rest(self) -> None:
        """What still runs after the first process: a moment to end by itself, unless time is up already."""
        if self.kill_at is None:
            self.kill_at = boot_seconds() + AFTERMATH_SECONDS
        if self.kill_at > boot_seconds() and self.tree.signal(signal.SIGTERM):
            while self.kill_at > boot_seconds() and not self.tree.is_gone(within_seconds=TICK_SECONDS / 2):
                self._react(self._tick(job_pid=None, within_seconds=0.0))
        if not self.tree.kill():
            log.warn("processes survive SIGKILL", pids=[p.pid for p in self.tree.members()])

    def _settle(self, ending: Outcome) -> Status:
        """Delivers everything, however long the server is away, unless the trial or the worker is lost."""
        self.tree.close()
        if self.cause is Cause.FENCED:
            return Status.KEPT
        self.delivery.conclude(ending)
        while self.delivery.is_alive():
            if self.patience_seconds is not None:
                self.delivery.give_up_after(self.patience_seconds)
            _say(orders.ALIVE)
            event = self.events.next(TICK_SECONDS / 10)
            self._hurry(event)
            if self.cause is Cause.CANCELLED or (event is not None and event.kind is Kind.CANCELLED):
                self.delivery.hurry_checkpoints(self.order.grace_seconds)
        self.beats.end()
        if self.delivery.acknowledged:
            if self.order.store and not self.delivery.unkept:
                shutil.rmtree(self.order.checkpoint_folder, ignore_errors=True)  # all of it is in the store
            shutil.rmtree(self.folder.path, ignore_errors=True)
            return Status.ACKNOWLEDGED
        if not self.delivery.over:
            raise RuntimeError("the delivery thread failed")
        return Status.KEPT


def _say(line: bytes) -> None:
    """To the worker; when it is gone or deaf, that shows elsewhere."""
    with contextlib.suppress(OSError):
        os.write(STDOUT, line)


def main() -> int:
    os.umask(0o077)
    log.configure()
    keep_private()
    adopt_orphans()
    os.set_blocking(STDOUT, False)
    said = orders.lines(STDIN)
    try:
        order = orders.receive(said)
    except EOFError:
        return Status.KEPT
    log.concern(trial_id=order.trial_id, epoch=order.epoch)
    supervision = Supervision(order, said)
    try:
        return supervision.run()
    except BaseException:
        log.crash("the supervisor failed")
        supervision.tree.kill()
        raise


if __name__ == "__main__":
    sys.exit(main())

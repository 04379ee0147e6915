"""On this host: each attempt under a supervisor that is a child of the worker."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from tunebook_worker.attempt import Attempt
from tunebook_worker.launchers.launcher import JobState
from tunebook_worker.log import crash
from tunebook_worker.orders import Order, Word


class LocalLauncher:
    """Calls `changed` from another thread when an attempt has ended, so that nobody has to look."""

    poll_seconds = 3600.0
    takes = True

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._running: dict[str, Attempt] = {}
        self._ended: set[str] = set()

    def adopt(self) -> Sequence[Order]:
        """None: they died with their worker."""
        return ()

    def submit(self, order: Order) -> str:
        attempt = Attempt(order)
        with self._lock:
            self._running[order.name] = attempt
        threading.Thread(target=self._run, args=(order.name, attempt), name=order.name, daemon=True).start()
        return order.name

    def poll(self, jobs: Collection[str]) -> Mapping[str, JobState]:
        with self._lock:
            states = {job: JobState.RUNNING for job in jobs if job in self._running}
            states |= {job: JobState.ENDED for job in jobs if job in self._ended}
            self._ended -= set(jobs)
        return states

    def tell(self, job: str, word: Word) -> None:
        with self._lock:
            attempt = self._running.get(job)
        if attempt is not None:
            attempt.say(word)

    def logs(self, job: str, limit_bytes: int) -> bytes:
        """They stand in the worker's own log."""
        return b""

    def _run(self, job: str, attempt: Attempt) -> None:
        try:
            attempt.run()
        except Exception:
            crash("an attempt failed in the worker", job=job)
        finally:
            with self._lock:
                del self._running[job]
                self._ended.add(job)
            self._changed()

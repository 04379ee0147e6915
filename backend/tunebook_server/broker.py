"""How hints leave: after commit, from a thread of their own, so that no request waits for a broker.

A hint says "trial T may be claimed". Losing one changes no outcome, because a sweep sends it again; so a
broker that hangs, refuses or is gone costs a counted, logged loss and nothing else.
"""

import logging
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from celery import Celery

import tunebook_broker  # noqa: F401 (registers the transport on Postgres)
from tunebook_server.settings import Settings

TRIAL_TASK, TRIAL_QUEUE = "tunebook.trial", "trials"
WAKE_TASK, WAKE_QUEUE = "tunebook.wake", "control"
PUBLISH_TIMEOUT_SECONDS = 2.0
WAITING_LIMIT = 10_000

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What became of this process's messages; `dropped` found no configured broker or no room to wait."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0


def queue_app(settings: Settings, name: str = "tunebook") -> Celery:
    """A Celery app with the rules of every queue here: JSON only, no results, short waits for the broker."""
    app = Celery(name, broker=settings.broker, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_default_queue=WAKE_QUEUE,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,  # whoever can write to the broker must not command workers
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_timeout=PUBLISH_TIMEOUT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    return app


class Publisher:
    def __init__(self, settings: Settings) -> None:
        self.counts = Counts()
        self._app = queue_app(settings)
        self._app.conf.broker_transport_options = {
            "timeout_seconds": PUBLISH_TIMEOUT_SECONDS,  # Postgres
            "socket_timeout": PUBLISH_TIMEOUT_SECONDS,  # Redis
            "socket_connect_timeout": PUBLISH_TIMEOUT_SECONDS,
        }
        self._expires_seconds = settings.hint_again_seconds
        self._waiting: queue.Queue[tuple[str, str, int] | threading.Event | None] = queue.Queue(WAITING_LIMIT)
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
        self._thread.start()

    def put(self, task: str, queue_name: str, argument: int) -> None:
        try:
            self._waiting.put_nowait((task, queue_name, argument))
        except queue.Full:
            self.counts.dropped += 1

    def flush(self, timeout_seconds: float) -> None:
        """Wait until what was put so far is sent or failed, for at most `timeout_seconds`."""
        reached = threading.Event()
        with suppress(queue.Full):
            self._waiting.put(reached, timeout=timeout_seconds)
            reached.wait(timeout_seconds)

    def close(self, timeout_seconds: float) -> None:
        """Send what waits, for at most `timeout_seconds`."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=timeout_seconds)
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            if isinstance(message, threading.Event):
                message.set()
                continue
            try:
                self._send(*message)
                self.counts.sent += 1
            except Exception as error:
                self.counts.failed += 1
                task, _, argument = message
                place = {"trial_id" if task == TRIAL_TASK else "study_id": argument}
                _log.warning(
                    "hint not sent (%d so far), the sweep repeats it: %s",
                    self.counts.failed,
                    error,
                    extra=place,
                )
        self._app.pool.force_close_all()
        self._app.close()

    def _send(self, task: str, queue_name: str, argument: int) -> None:
        options: dict[str, Any] = {"expiration": self._expires_seconds}  # by the broker's clock
        if task != TRIAL_TASK:
            # By the receiver's clock. Not for trials: a worker whose clock is ahead would hear none at all,
            # and an old hint costs it a look. But a control worker that was away must not do all it missed.
            options["expires"] = self._expires_seconds
        # One retry at once, on a new connection: the pooled one may be from before the broker's restart.
        policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
        self._app.send_task(
            task, args=[argument], queue=queue_name, retry=True, retry_policy=policy, **options
        )


_publisher: Publisher | None = None
_unconfigured = Counts()


def configure(settings: Settings) -> None:
    """Once in the life of a process, before its first hint; again to follow a new broker URL."""
    global _publisher  # noqa: PLW0603 (one publisher a process: it owns a thread and a connection)
    close()
    _publisher = Publisher(settings)


def close(timeout_seconds: float = PUBLISH_TIMEOUT_SECONDS) -> None:
    global _publisher  # noqa: PLW0603
    if _publisher is not None:
        _publisher.close(timeout_seconds)
    _publisher = None


def flush(timeout_seconds: float = PUBLISH_TIMEOUT_SECONDS) -> None:
    if _publisher is not None:
        _publisher.flush(timeout_seconds)


def counts() -> Counts:
    return _publisher.counts if _publisher is not None else _unconfigured


def hint(trial_ids: Sequence[int], queue_name: str = TRIAL_QUEUE) -> None:
    """Tell workers that listen to this queue that trials may be claimed. Returns at once, never raises."""
    for trial_id in trial_ids:
        _put(TRIAL_TASK, queue_name, trial_id)


def wake(study_id: int) -> None:
    """Tell the control worker that this study may need trials. Returns at once and never raises."""
    _put(WAKE_TASK, WAKE_QUEUE, study_id)


def _put(task: str, queue_name: str, argument: int) -> None:
    if _publisher is None:
        _unconfigured.dropped += 1
    else:
        _publisher.put(task, queue_name, argument)

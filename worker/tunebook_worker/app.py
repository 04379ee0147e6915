"""The Celery side: one task, whose message is only a hint that some trial may be claimed."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning

from tunebook_broker.prompt import be_prompt  # importing it registers the transport with kombu

TASK = "tunebook.trial"
QUEUE = "trials"


def make(broker_url: str, *, hinted: Callable[[], None]) -> Celery:
    """An app of its own, so that a test can have several. What a message says besides "look" is not read."""
    app = Celery("tunebook-worker", broker=broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=QUEUE,
        task_create_missing_queues=True,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # Early: a hint is worth nothing once it was read. The lease, not the broker, guards a running trial.
        task_acks_late=False,
        worker_pool="threads",
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,  # whoever can write to the broker must not command workers
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        enable_utc=True,
    )
    be_prompt(app)

    @app.task(name=TASK, ignore_result=True)
    def trial(*_: Any, **__: Any) -> None:
        hinted()

    return app


def worker(app: Celery, name: str) -> Any:
    """The Celery worker of this process; `start()` blocks."""
    # It warns of root for the sake of pickled messages, which are not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)

    class Worker(app.Worker):
        def install_platform_tweaks(self, worker: Any) -> None:
            """No handlers of Celery's: signals are this process's own, from its first moment to its last."""

    return Worker(
        hostname=f"tunebook@{name}",
        queues=[QUEUE],
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )


class Hearing:
    """Which queues this worker takes hints from. While it has no room it takes none: an idle one shall."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._queues: tuple[str, ...] = (QUEUE,)
        self._muted = False

    def follow(self, queues: Iterable[str], *, has_room: bool) -> None:
        self._queues, self._muted = tuple(queues), not has_room
        self._apply()

    def resume(self) -> None:
        """There is room again."""
        if self._muted:
            self._muted = False
            self._apply()

    def _apply(self) -> None:
        consumer = getattr(self._worker, "consumer", None)
        if consumer is None or consumer.task_consumer is None:  # not connected: the next beat says it again
            return
        wanted = set() if self._muted else set(self._queues)
        now = {queue.name for queue in consumer.task_consumer.queues}
        for queue in wanted - now:
            consumer.call_soon(consumer.add_task_queue, queue)
        for queue in now - wanted:
            consumer.call_soon(consumer.cancel_task_queue, queue)

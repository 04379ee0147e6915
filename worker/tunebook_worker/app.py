"""The Celery side: one task, whose message is only a hint that a trial may be claimed."""

import warnings
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning

from tunebook_broker.prompt import be_prompt  # importing it registers the transport with kombu

TASK = "tunebook.trial"
QUEUE = "trials"
MAX_TRIAL_ID = 2**63 - 1


def make(broker_url: str, *, slots: int, take: Callable[[int], None]) -> Celery:
    """An app of its own, so that a test can have several."""
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
        worker_concurrency=slots,
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
    def trial(trial_id: Any) -> None:
        if type(trial_id) is int and 0 < trial_id <= MAX_TRIAL_ID:
            take(trial_id)

    return app


def worker(app: Celery, name: str) -> Any:
    """The Celery worker of this process; `start()` blocks."""
    # It warns of root for the sake of pickled messages, which are not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    return app.Worker(
        hostname=f"tunebook@{name}",
        queues=[QUEUE],
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )

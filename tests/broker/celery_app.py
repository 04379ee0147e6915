"""The Celery app of the broker tests: tasks that write down that they ran."""

import os
import time
from pathlib import Path

from celery import Celery

import tunebook_broker  # noqa: F401 (registers the transport)

RECORD = Path(os.environ.get("TEST_RECORD", "/dev/null"))

app = Celery("broker-tests", broker=os.environ.get("TEST_BROKER_URL", "memory://"))
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)


@app.task(name="test.record")
def record(word: str) -> None:
    _write(word)


@app.task(name="test.slow", acks_late=True)
def slow(word: str, gate: str) -> None:
    """Writes when it starts, then waits until the file `gate` exists."""
    _write(f"start {word}")
    while not Path(gate).exists():
        time.sleep(0.01)
    _write(f"end {word}")


def _write(line: str) -> None:
    with RECORD.open("a") as file:
        file.write(f"{time.time():.6f} {line}\n")

"""Celery notices a shutdown at once.

Its loop for transports without sockets of their own waits for messages 2 s at a time, and once more after it
was told to stop: up to 4 s of the 10 s in which everything has to end.
"""

from typing import Any

from celery import Celery, bootsteps
from celery.worker import state

LOOK_SECONDS = 0.25


class Prompt(bootsteps.StartStopStep):
    """Wraps the consumer's connection, anew after each reconnection."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, consumer: Any) -> None:
        drain = consumer.connection.drain_events

        def drain_events(timeout: float | None = None, **options: Any) -> Any:
            longest = LOOK_SECONDS if state.should_stop is None else 0.0
            return drain(timeout=longest if timeout is None else min(timeout, longest), **options)

        consumer.connection.drain_events = drain_events


def be_prompt(app: Celery) -> None:
    app.steps["consumer"].add(Prompt)

"""The control worker: a Celery app on the queue `control`, and the sweep beside it."""

import socket
import warnings
from functools import cache, partial
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning

from tunebook_broker.prompt import be_prompt
from tunebook_server import broker
from tunebook_server.domain.errors import NotFound
from tunebook_server.jobs import sign
from tunebook_server.jobs.refresh import refreshing
from tunebook_server.jobs.sweep import Sweep
from tunebook_server.jobs.wake import wake
from tunebook_server.settings import Settings, settings
from tunebook_server.storage.engine import Engine, connect

POOL_SIZE = 5


@cache
def engine() -> Engine:
    return connect(settings().database_url.get_secret_value(), pool_size=POOL_SIZE)


def control_app(configuration: Settings) -> Celery:
    app = broker.queue_app(configuration)
    be_prompt(app)

    @app.task(name=broker.WAKE_TASK, ignore_result=True)
    def wake_study(study_id: int) -> None:
        try:
            wake(engine(), study_id)
        except NotFound:
            return  # deleted since, or a forged message: nothing to do either way

    return app


def control_worker(app: Celery) -> Any:
    """The Celery worker of this process: solo pool, because a wake is one short transaction."""
    # Celery warns root, for the sake of pickle; JSON is all that is accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    return app.Worker(
        hostname=f"tunebook-control@{socket.gethostname()}",
        pool="solo",
        queues=[broker.WAKE_QUEUE],
        quiet=True,
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )


def run() -> None:
    """Work until SIGTERM."""
    configuration = settings()
    broker.configure(configuration)
    seconds = configuration.sweep_seconds
    alive = partial(sign.touch, configuration.data)
    threads = (Sweep(engine(), seconds=seconds, begin=alive), refreshing(engine(), seconds=seconds))
    for thread in threads:
        thread.start()
    try:
        control_worker(control_app(configuration)).start()
    finally:
        for thread in threads:
            thread.stop()
        broker.close()
        engine().dispose()

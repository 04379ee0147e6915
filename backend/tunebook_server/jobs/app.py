"""The control worker: a Celery app on the queue `control`, and the sweep beside it."""

from functools import cache

from celery import Celery

from tunebook_server import broker
from tunebook_server.domain.errors import NotFound
from tunebook_server.jobs.sweep import Sweep
from tunebook_server.jobs.wake import wake
from tunebook_server.settings import Settings, settings
from tunebook_server.storage.engine import Engine, connect

POOL_SIZE = 5
WORKER_OPTIONS = f"--pool=solo --queues={broker.WAKE_QUEUE} --hostname=control@%h --loglevel=warning".split()
WORKER_OPTIONS += ["--without-gossip", "--without-mingle", "--without-heartbeat"]


@cache
def engine() -> Engine:
    return connect(settings().database_url.get_secret_value(), pool_size=POOL_SIZE)


def control_app(configuration: Settings) -> Celery:
    app = broker.queue_app(configuration)

    @app.task(name=broker.WAKE_TASK, ignore_result=True)
    def wake_study(study_id: int) -> None:
        try:
            wake(engine(), study_id)
        except NotFound:
            return  # deleted since, or a forged message: nothing to do either way

    return app


def run() -> None:
    """Work until SIGTERM: solo pool, because a wake is one short transaction."""
    configuration = settings()
    broker.configure(configuration)
    sweep = Sweep(engine(), seconds=configuration.sweep_seconds)
    sweep.start()
    try:
        control_app(configuration).worker_main(["worker", *WORKER_OPTIONS])
    finally:
        sweep.stop()
        broker.close()
        engine().dispose()

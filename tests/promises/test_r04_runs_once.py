"""R4: training that lasts longer than any patience of the broker runs once."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery

from tests.live import tunebook, until
from tests.promises import redis_server
from tests.promises.conftest import Figures, Size
from tests.promises.jobs import rows
from tests.promises.redis_server import Redis
from tunebook_server.embedded.postgres import Postgres

pytestmark = [redis_server.needs, pytest.mark.redis, pytest.mark.faults]

TIMINGS = {
    "TUNEBOOK_BEAT_SECONDS": "5",
    "TUNEBOOK_FENCE_SECONDS": "25",
    "TUNEBOOK_LEASE_SECONDS": "30",
    "TUNEBOOK_SWEEP_SECONDS": "2",
}
"""What is short here is the broker's patience; a lease must outlast two dozen jobs that start at once."""
WORKERS = 2
JOB = """
import pathlib, time, tunebook
trial = tunebook.current_trial()
with (pathlib.Path(__file__).parent / "executions").open("a") as file:
    file.write(f"{{trial.number}}\\n")
trial.report(1, {{"loss": 0.5}})
time.sleep({seconds})
"""
IMPATIENCE = (
    '{{"visibility_timeout": {patience}, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}}'
)
"""The broker gives a message that is not acknowledged to another worker after this long; it is looked for
each second, where the transport's own habit is every 100 s."""
IMPATIENT = f"""
import tunebook_worker.app as app
patient = app.make
def make(url, **options):
    made = patient(url, **options)
    made.conf.broker_transport_options = {IMPATIENCE}
    return made
app.make = make
"""
TASKS, TASK_SECONDS, TASK_PATIENCE_SECONDS = 4, 6, 1
PLAIN = f"""
import sys, time
from celery import Celery
url, record = sys.argv[1:]
app = Celery("plain", broker=url)
app.conf.update(task_ignore_result=True, worker_pool="threads", worker_concurrency=1)
app.conf.update(worker_prefetch_multiplier=1, broker_transport_options={IMPATIENCE})
@app.task(name="train", acks_late=True)
def train(number):
    with open(record, "a") as file:
        file.write(f"{{{{number}}}}\\n")
    time.sleep({TASK_SECONDS})
app.Worker(quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True).start()
"""
"""The usual way: the message is acknowledged when training has ended."""


def test_training_outlasts_the_broker(
    postgres: Postgres, tmp_path: Path, size: Size, figures: Figures
) -> None:
    trials, slots, seconds, patience = size(p=(4, 2, 5, 1), n=(50, 13, 60, 10))
    redis = started(tmp_path)
    try:
        settings = {"TUNEBOOK_BROKER_URL": redis.url, **TIMINGS}
        with contextlib.ExitStack() as open_:
            variant = IMPATIENT.format(patience=patience)
            live = open_.enter_context(tunebook(postgres, tmp_path, variant=variant, **settings))
            for _ in range(WORKERS):
                open_.enter_context(live.worker(slots=slots))
            study = live.study(live.script(JOB.format(seconds=seconds)), trials=trials, parallel=trials)
            done = f"SELECT count(*) AS n FROM trials WHERE study_id = {study} AND state = 'completed'"
            until(lambda: rows(live, done)[0]["n"] == trials, "all trials are completed", 400)
        executions = (tmp_path / "executions").read_text().split()
        figures(
            trials=trials,
            seconds_each=seconds,
            broker_patience_s=patience,
            executions=len(executions),
        )
        assert sorted(map(int, executions)) == list(range(trials))
    finally:
        redis.end()


def test_with_late_acknowledgement_it_would_run_more_than_once(tmp_path: Path, figures: Figures) -> None:
    redis, record = started(tmp_path), tmp_path / "record"
    program = tmp_path / "plain.py"
    program.write_text(PLAIN.format(patience=TASK_PATIENCE_SECONDS))
    argv = [sys.executable, str(program), redis.url, str(record)]
    workers = [
        subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(WORKERS)
    ]
    try:
        with Celery(broker=redis.url, set_as_current=False) as client:
            for number in range(TASKS):
                client.send_task("train", args=[number], queue="celery")
        until(lambda: record.exists() and len(record.read_text().split()) > TASKS, "a task runs again", 120)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        redis.end()
    runs = len(record.read_text().split())
    figures(control=f"acknowledged late: caught, {runs} runs for {TASKS} tasks")


def started(folder: Path) -> Redis:
    place = folder / "redis"
    place.mkdir()
    return Redis(place).start()

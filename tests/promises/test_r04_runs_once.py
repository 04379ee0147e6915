"""R4: training that lasts longer than any patience of the broker runs once."""

import contextlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from celery import Celery

from tests.live import tunebook, until
from tests.promises import redis_server
from tests.promises.conftest import Figures
from tests.promises.jobs import rows
from tests.promises.redis_server import Redis
from tunebook_server.embedded.postgres import Postgres

pytestmark = [
    redis_server.needs,
    pytest.mark.redis,
    pytest.mark.soak,
    pytest.mark.faults,
    pytest.mark.xdist_group("promises"),
]

TRIALS, WORKERS, SLOTS, TRAINS_SECONDS, PATIENCE_SECONDS = 50, 2, 13, 60, 10
JOB = f"""
import pathlib, time, tunebook
trial = tunebook.current_trial()
with (pathlib.Path(__file__).parent / "executions").open("a") as file:
    file.write(f"{{trial.number}}\\n")
trial.report(1, {{"loss": 0.5}})
time.sleep({TRAINS_SECONDS})
"""
IMPATIENT = f"""
import tunebook_worker.app as app
patient = app.make
def make(url, **options):
    made = patient(url, **options)
    made.conf.broker_transport_options = {{"visibility_timeout": {PATIENCE_SECONDS}}}
    return made
app.make = make
"""
"""The broker gives a message that is not acknowledged to another worker after this long."""
PLAIN = """
import sys, time
from celery import Celery
url, record = sys.argv[1:]
app = Celery("plain", broker=url)
app.conf.update(task_ignore_result=True, worker_pool="threads", worker_concurrency=1)
app.conf.update(worker_prefetch_multiplier=1, broker_transport_options={"visibility_timeout": 4})
@app.task(name="train", acks_late=True)
def train(number):
    with open(record, "a") as file:
        file.write(f"{number}\\n")
    time.sleep(25)
app.Worker(quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True).start()
"""
"""The usual way: the message is acknowledged when training has ended."""


def test_fifty_trials_of_a_minute(postgres: Postgres, tmp_path: Path, figures: Figures) -> None:
    redis = started(tmp_path)
    try:
        settings = {"TUNEBOOK_BROKER_URL": redis.url, "TUNEBOOK_SWEEP_SECONDS": "2"}
        with contextlib.ExitStack() as open_:
            live = open_.enter_context(tunebook(postgres, tmp_path, variant=IMPATIENT, **settings))
            for _ in range(WORKERS):
                open_.enter_context(live.worker(slots=SLOTS))
            study = live.study(live.script(JOB), trials=TRIALS, parallel=TRIALS)
            done = f"SELECT count(*) AS n FROM trials WHERE study_id = {study} AND state = 'completed'"
            until(lambda: rows(live, done)[0]["n"] == TRIALS, "all trials are completed", 400)
        executions = (tmp_path / "executions").read_text().split()
        figures(
            trials=TRIALS,
            seconds_each=TRAINS_SECONDS,
            broker_patience_s=PATIENCE_SECONDS,
            executions=len(executions),
        )
        assert sorted(map(int, executions)) == list(range(TRIALS))
    finally:
        redis.end()


def test_with_late_acknowledgement_it_would_run_more_than_once(tmp_path: Path, figures: Figures) -> None:
    redis, record = started(tmp_path), tmp_path / "record"
    program = tmp_path / "plain.py"
    program.write_text(textwrap.dedent(PLAIN))
    argv = [sys.executable, str(program), redis.url, str(record)]
    workers = [subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        with Celery(broker=redis.url, set_as_current=False) as client:
            for number in range(4):
                client.send_task("train", args=[number], queue="celery")
        until(lambda: record.exists() and len(record.read_text().split()) > 4, "a task runs again", 300)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        redis.end()
    figures(control=f"acknowledged late: caught, {len(record.read_text().split())} runs for 4 tasks")


def started(folder: Path) -> Redis:
    place = folder / "redis"
    place.mkdir()
    return Redis(place).start()

"""Hints are harmless: doubled, forged or senseless, they start nothing that the server did not give out."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

import tunebook_broker  # noqa: F401 (registers the transport)
from tests.broker.test_transport import running_redis
from tests.live import Live, until

ONE = """print('{"step": 1, "loss": 0.5}')"""


@pytest.fixture
def broker(live: Live) -> Iterator[Celery]:
    app = Celery(broker=live.environment["TUNEBOOK_BROKER_URL"], set_as_current=False)
    yield app
    app.close()


SENSELESS: list[tuple[str, list[object]]] = [
    ("tunebook.trial", ["1; rm -rf /"]),
    ("tunebook.trial", [-1]),
    ("tunebook.trial", [2**63]),
    ("tunebook.trial", [10**400]),
    ("tunebook.trial", [{"trial_id": 1}]),
    ("tunebook.trial", [1.5]),
    ("tunebook.trial", [True]),
    ("tunebook.trial", []),
    ("os.system", ["true"]),
    ("celery.chord_unlock", ["a", "b"]),
]


def test_senseless_messages_stop_nothing(live: Live, broker: Celery) -> None:
    with live.worker() as worker:
        for task, arguments in SENSELESS:
            broker.send_task(task, args=arguments, queue="trials")
        study = live.study(live.script(ONE))
        (trial,) = live.ended(study)
        assert trial["state"] == "completed"
        assert worker.popen.poll() is None


def test_the_workers_log_is_json_without_control_bytes(live: Live) -> None:
    nasty = "import sys; print('\\x1b[31m\\r\\n\\x07', file=sys.stderr); sys.exit(1)"
    with live.worker() as worker:
        study = live.study(live.script(nasty), attempts=1)
        live.ended(study)
    content = worker.log.read_bytes()
    assert worker.popen.returncode == 0
    assert not [byte for byte in content if byte < 0x20 and byte != 0x0A]
    events = [json.loads(line)["event"] for line in content.splitlines()]
    assert {"registered", "claimed", "the attempt ended", "shutting down"} <= set(events)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    with running_redis(tmp_path) as url:
        yield url


@pytest.mark.redis
def test_hints_through_redis(live: Live, redis: str) -> None:
    with live.worker(TUNEBOOK_BROKER_URL=redis) as worker:
        study = live.study(live.script(ONE))
        (queued,) = until(lambda: live.trials(study), "there is a trial")
        app = Celery(broker=redis, set_as_current=False)
        app.send_task("tunebook.trial", args=[queued["id"]], queue="trials")
        app.close()
        assert live.ended(study)[0]["state"] == "completed"
        worker.signal(signal.SIGTERM)
        assert worker.popen.wait(10) == 0

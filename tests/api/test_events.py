"""The event stream and the stop of the server, over real sockets."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import Engine

from tests.api.site import Site, World, populate
from tests.live import PATIENCE_SECONDS, until
from tunebook_server.api.events import RECHECK_SECONDS
from tunebook_server.app.factory import create_app
from tunebook_server.app.run import Server, configuration
from tunebook_server.settings import Settings

READER = "stream reader"


class Stream:
    """Events as they come, read in a thread of its own."""

    def __init__(self, url: str, token: str) -> None:
        self.lines: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(url, token), name=READER)
        self._thread.start()
        assert self.lines.get(timeout=PATIENCE_SECONDS) == ": following"

    def _read(self, url: str, token: str) -> None:
        bearer = {"Authorization": f"Bearer {token}"}
        with (
            httpx.Client(trust_env=False, timeout=30) as client,
            client.stream("GET", url, headers=bearer) as response,
        ):
            for line in response.iter_lines():
                if line:
                    self.lines.put(line)

    def next(self, within_seconds: float = PATIENCE_SECONDS) -> dict[str, int]:
        while (line := self.lines.get(timeout=within_seconds)) == ": ping":
            pass
        assert line == "event: study"
        data: dict[str, int] = json.loads(self.lines.get(timeout=PATIENCE_SECONDS).removeprefix("data: "))
        return data

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()


@contextmanager
def serving(engine: Engine) -> Iterator[tuple[str, Server]]:
    """The real server in a thread, on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    settings = Settings(port=listener.getsockname()[1])
    app = create_app(engine, settings)
    server = Server(configuration(app, settings), app.state.feed)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    until(lambda: server.started, "the server has started")
    try:
        yield f"http://127.0.0.1:{settings.port}", server
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
        until(lambda: READER not in {left.name for left in threading.enumerate()}, "all streams have ended")


@pytest.fixture
def url(site: Site, world: World) -> Iterator[str]:
    with serving(site.engine) as (address, _):
        yield f"{address}/api/v1/events"


def report(site: Site, world: World, step: int) -> None:
    series = {"valid/error": {"step": [step], "value": [0.1]}}
    batch = {"epoch": 1, "sequence": step, "series": series}
    assert site.post(f"/api/v1/trials/{world.trial}:report", batch, by="trial").status_code == 200


def revision(site: Site, study: int) -> int:
    number: int = site.get(f"/api/v1/studies/{study}").json()["revision"]
    return number


def test_a_change_is_told_to_all_who_follow(site: Site, world: World, url: str) -> None:
    one = Stream(f"{url}?study={world.study}&revision={revision(site, world.study)}", site.tokens["owner"])
    all_ = Stream(url, site.tokens["owner"])
    report(site, world, 10)
    wanted = {"study": world.study, "revision": revision(site, world.study)}
    assert one.next() == wanted
    until(lambda: all_.next() == wanted, "the other stream hears of it")
    site.patch(f"/api/v1/studies/{world.launched}", {"note": "elsewhere"})
    wanted = {"study": world.launched, "revision": revision(site, world.launched)}
    until(lambda: all_.next() == wanted, "the other study's change")
    report(site, world, 11)
    assert one.next() == {"study": world.study, "revision": revision(site, world.study)}


def test_a_page_that_is_behind_is_told_at_once(site: Site, world: World, url: str) -> None:
    stream = Stream(f"{url}?study={world.study}&revision=0", site.tokens["owner"])
    assert stream.next() == {"study": world.study, "revision": revision(site, world.study)}


def test_a_stream_ends_with_its_credential(site: Site, world: World, url: str) -> None:
    made = site.post("/api/v1/tokens", {"name": "viewer", "scopes": ["study:read"]}).json()
    stream = Stream(f"{url}?study={world.study}", made["token"])
    stays = Stream(f"{url}?study={world.study}", site.tokens["owner"])
    site.request("DELETE", f"/api/v1/tokens/{made['id']}")
    until(lambda: stream.ended, "the stream ends", within_seconds=RECHECK_SECONDS + 2)
    report(site, world, 12)
    until(lambda: stays.next()["revision"] == revision(site, world.study), "the other one goes on")


def test_a_stop_ends_streams_and_finishes_requests(engine: Engine) -> None:
    site = Site(engine)
    populate(site)
    with serving(engine) as (address, server):
        stream = Stream(f"{address}/api/v1/events", site.tokens["owner"])
        began = time.monotonic()
        server.should_exit = True
        until(lambda: stream.ended, "the stream ends with the server", within_seconds=10)
    assert time.monotonic() - began < 10
    site.close()


def test_a_server_process_stops_within_ten_seconds(engine: Engine, database_url: str) -> None:
    site = Site(engine)
    populate(site)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "TUNEBOOK_DATABASE_URL": database_url,
        "TUNEBOOK_PORT": str(port),
    }
    listener.close()
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from tunebook_server.commands import server; sys.exit(server([]))",
        ],
        env=environment,
        stderr=subprocess.PIPE,
    )
    try:
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert server.poll() is None
            try:
                return httpx.get(f"{url}/health", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        until(answers, "the server answers")
        stream = Stream(f"{url}/api/v1/events", site.tokens["owner"])
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        assert time.monotonic() - began < 10
        until(lambda: stream.ended, "the stream ends")
    finally:
        server.kill()
        _, errors = server.communicate()
    for line in errors.decode().splitlines():
        assert isinstance(json.loads(line), dict), line
    site.close()

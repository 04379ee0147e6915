"""The systems that benchmarks/ingest.py sends points to: Tunebook's server, and a table of rows."""

import base64
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import psycopg

from tests.services.making import make_study
from tunebook_server.domain.objective import Objective
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import trials
from tunebook_server.storage.engine import connect
from tunebook_server.storage.migrate import migrate

START_SECONDS = 120.0


class Sender(Protocol):
    """A client; each call sends the next batch and returns when it is acknowledged."""

    def send(self, points: int) -> None: ...

    def close(self) -> None: ...


class HttpSender:
    """One kept-alive connection. Bodies are made in between: the CPU of clients is not counted."""

    def __init__(
        self, port: int, path: str, headers: dict[str, str], body: Callable[[int, int], bytes]
    ) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.path, self.headers, self.body = path, {"Content-Type": "application/json", **headers}, body
        self.numbers = itertools.count()

    def send(self, points: int) -> None:
        body = self.body(next(self.numbers), points)
        try:
            answer = self._post(body)
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
            self.connection.close()  # the server had closed the idle connection
            answer = self._post(body)
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {content[:500]!r}")

    def _post(self, body: bytes) -> http.client.HTTPResponse:
        self.connection.request("POST", self.path, body, self.headers)
        return self.connection.getresponse()

    def close(self) -> None:
        self.connection.close()


@dataclass(frozen=True)
class Tunebook:
    process: psutil.Process
    port: int
    database_url: str

    def sender(self, body: str) -> Callable[[int], Sender]:
        def make(series: int) -> Sender:
            engine = connect(self.database_url)
            study = make_study(engine, launched=False, objective=Objective("metric 0"))
            (claim,) = trials.ask(engine, study_id=study.id, client_id="bench", actor="user:bench")
            engine.dispose()
            return HttpSender(
                self.port,
                f"/api/v1/trials/{claim.trial.id}:report",
                {"Authorization": f"Bearer {claim.token}"},
                lambda number, points: tunebook_body(number, points, series, body),
            )

        return make


def tunebook_body(number: int, points: int, series: int, body: str) -> bytes:
    length = points // series
    steps = np.arange(number * length, (number + 1) * length, dtype="<i8")
    values = np.sin(steps / 100) + 1e-3
    columns = (
        {"step": steps.tolist(), "value": values.tolist()}
        if body == "json"
        else {
            name: base64.b64encode(column.tobytes()).decode()
            for name, column in (("step", steps), ("value", values))
        }
    )
    batch = {f"metric {place}": columns for place in range(series)}
    return json.dumps({"epoch": 1, "sequence": number, "series": batch}).encode()


@contextmanager
def tunebook_server(postgres: Postgres, folder: Path) -> Iterator[Tunebook]:
    """A server process of its own on a database of its own."""
    database_url, port = new_database(postgres, "tunebook"), free_port()
    engine = connect(database_url)
    migrate(engine)
    engine.dispose()
    environment = {
        "TUNEBOOK_DATABASE_URL": database_url,
        "TUNEBOOK_PORT": str(port),
        "TUNEBOOK_DATA": str(folder / "data"),
    }
    argv = [sys.executable, "-c", "import sys, tunebook.cli; sys.exit(tunebook.cli.main())", "server"]
    with running(argv, folder / "tunebook.log", port, "/health", environment) as process:
        yield Tunebook(process, port, database_url)


@contextmanager
def running(
    argv: list[str], log: Path, port: int, health: str, environment: dict[str, str]
) -> Iterator[psutil.Process]:
    """The process once it answers; it and its children are ended afterwards."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            argv,
            cwd=log.parent,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        end = time.monotonic() + START_SECONDS
        while not answers(port, health):
            if started.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{argv[0]} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield psutil.Process(started.pid)
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGTERM)
            started.wait(15)


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def new_database(postgres: Postgres, name: str) -> str:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return postgres.url(name)


class RowSender:
    """A row a point, inserted in one transaction a batch, as a metrics table of rows would take them."""

    def __init__(self, database_url: str, series: int) -> None:
        self.connection, self.series, self.number = psycopg.connect(database_url), series, 0
        row = self.connection.execute("INSERT INTO runs DEFAULT VALUES RETURNING id").fetchone()
        self.run = row[0] if row else 0
        self.connection.commit()

    def send(self, points: int) -> None:
        length = points // self.series
        first = self.number * length
        rows = [
            (self.run, metric, step, step / 100 + 1e-3)
            for metric in range(self.series)
            for step in range(first, first + length)
        ]
        with self.connection.cursor() as cursor:
            cursor.executemany("INSERT INTO points VALUES (%s, %s, %s, %s)", rows)
        self.connection.commit()
        self.number += 1

    def close(self) -> None:
        self.connection.close()


def row_sender(postgres: Postgres) -> Callable[[int], Sender]:
    database_url = new_database(postgres, "rows")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            CREATE TABLE runs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
            CREATE TABLE points (
                run bigint REFERENCES runs, metric integer, step bigint, value double precision,
                PRIMARY KEY (run, metric, step)
            )
            """
        )
    return lambda series: RowSender(database_url, series)

"""MLflow's server and its log-batch, for benchmarks/ingest.py."""

import http.client
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.ingest_peers import HttpSender, Sender, free_port, new_database, running
from tunebook_server.embedded.postgres import Postgres

_names = itertools.count()


@dataclass(frozen=True)
class Mlflow:
    process: psutil.Process
    port: int

    def sender(self, series: int) -> Sender:
        experiment = self._post("experiments/create", {"name": f"bench {next(_names)}"})["experiment_id"]
        run = self._post("runs/create", {"experiment_id": experiment, "start_time": 0})
        run_id: str = run["run"]["info"]["run_id"]  # type: ignore[index]
        return HttpSender(
            self.port,
            "/api/2.0/mlflow/runs/log-batch",
            {},
            lambda number, points: mlflow_body(run_id, number, points, series),
        )

    def _post(self, verb: str, body: dict[str, object]) -> dict[str, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        path, headers = f"/api/2.0/mlflow/{verb}", {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        content: dict[str, object] = json.loads(answer.read())
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"MLflow answered {answer.status}: {content}")
        return content


def mlflow_body(run_id: str, number: int, points: int, series: int) -> bytes:
    length = points // series
    metrics = [
        {"key": f"metric {place}", "value": step / 100 + 1e-3, "timestamp": 1_700_000_000_000, "step": step}
        for place in range(series)
        for step in range(number * length, (number + 1) * length)
    ]
    return json.dumps({"run_id": run_id, "metrics": metrics}).encode()


@contextmanager
def mlflow_server(python: Path, folder: Path, postgres: Postgres | None) -> Iterator[Mlflow]:
    """One worker process, as Tunebook's server is one; on its default store, or on the given Postgres."""
    port, store = free_port(), []
    if postgres is not None:
        store = ["--backend-store-uri", new_database(postgres, "mlflow")]
    place = folder / f"mlflow-{'postgres' if postgres else 'default'}"
    place.mkdir()
    argv = [
        str(python),
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with running([*argv, *store], place / "log", port, "/health", environment) as process:
        yield Mlflow(process, port)

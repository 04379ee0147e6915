"""What a point costs on its way in: HTTP, server and database together.

    python -m benchmarks.ingest [--clients 1 4] [--series 1 10 1000] [--seconds 5] [--mlflow-python PATH]

Real server processes on an embedded Postgres take batches of 1,000 points over kept-alive HTTP connections.
Prints one JSON line per result: points per second as the clients see them, and CPU
microseconds per point of the server's and the database's processes together (not of the clients). `series` is
how many metrics share a batch: 1 × 1,000 steps, 10 × 100, 1,000 × 1.

The peer is MLflow's log-batch, with its default store and on the same Postgres, where MLflow is installed:

    uv venv /tmp/mlflow && uv pip install --python /tmp/mlflow/bin/python 'mlflow>=3' 'psycopg[binary]'
    python -m benchmarks.ingest --mlflow-python /tmp/mlflow/bin/python

or `uv pip install 'tunebook[bench]'` into this environment. Without MLflow the peer is an INSERT of one row a
point on the same Postgres, without any server in front.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from benchmarks.ingest_mlflow import mlflow_server
from benchmarks.ingest_peers import Sender, row_sender, tunebook_server
from tunebook_server.embedded.postgres import Postgres

POINTS = 1_000
WARM_BATCHES = 3
LEAST_BATCHES = 8
SETTLE_SECONDS = 60.0
RESTING_SHARE = 0.05  # of a core


@dataclass(frozen=True)
class Result:
    system: str
    store: str
    body: str
    clients: int
    series: int
    points_per_second: float
    cpu_microseconds_per_point: float
    server_cpu_microseconds_per_point: float
    database_cpu_microseconds_per_point: float
    batches: int


@dataclass(frozen=True)
class System:
    """`sender(series)` makes one client with a target of its own; `server` None: the client writes itself."""

    name: str
    store: str
    body: str
    sender: Callable[[int], Sender]
    server: psutil.Process | None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--series", type=int, nargs="+", default=[1, 10, 1000])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--mlflow-python", type=Path, help="an interpreter with MLflow; default: this one")
    arguments = parser.parse_args()
    python = arguments.mlflow_python or (Path(sys.executable) if find_spec("mlflow") else None)
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        postgres = Postgres(Path(folder) / "postgres")
        postgres.start()
        try:
            results: list[Result] = []
            for system in systems(postgres, Path(folder), python):
                database = psutil.Process(postgres.process.pid) if postgres.process else None
                for series in arguments.series:
                    for clients in arguments.clients:
                        results.append(measure(system, database, clients, series, arguments.seconds))
                        write({"benchmark": "ingest", **asdict(results[-1])})
            compare(results)
        finally:
            postgres.stop()


def systems(postgres: Postgres, folder: Path, mlflow_python: Path | None) -> Iterator[System]:
    with tunebook_server(postgres, folder) as tunebook:
        for body in ("json", "base64"):
            yield System("tunebook", "postgres", body, tunebook.sender(body), tunebook.process)
    if mlflow_python is None:
        yield System("row per point", "postgres", "insert", row_sender(postgres), None)
        return
    for store in ("default", "postgres"):
        with mlflow_server(mlflow_python, folder, postgres if store == "postgres" else None) as mlflow:
            yield System("mlflow", store, "json", mlflow.sender, mlflow.process)


def measure(
    system: System, database: psutil.Process | None, clients: int, series: int, seconds: float
) -> Result:
    senders = [system.sender(series) for _ in range(clients)]
    for sender in senders:
        for _ in range(WARM_BATCHES):
            sender.send(POINTS)
    settle(system.server)
    server_cpu, database_cpu = cpu_seconds(system.server), cpu_seconds(database)
    client_cpu, started = time.process_time(), time.perf_counter()
    batches = run(senders, seconds)
    elapsed = time.perf_counter() - started
    points = batches * POINTS
    own = time.process_time() - client_cpu if system.server is None else 0.0
    server = cpu_seconds(system.server) - server_cpu + own
    stored = cpu_seconds(database) - database_cpu
    for sender in senders:
        sender.close()
    return Result(
        system=system.name,
        store=system.store,
        body=system.body,
        clients=clients,
        series=series,
        points_per_second=round(points / elapsed),
        cpu_microseconds_per_point=round((server + stored) / points * 1e6, 3),
        server_cpu_microseconds_per_point=round(server / points * 1e6, 3),
        database_cpu_microseconds_per_point=round(stored / points * 1e6, 3),
        batches=batches,
    )


def run(senders: Sequence[Sender], seconds: float) -> int:
    """Sends from all of them at once until the time is up; the number of batches sent."""
    end = time.perf_counter() + seconds
    sent = [0] * len(senders)

    def go(place: int) -> None:
        while sent[place] < LEAST_BATCHES or time.perf_counter() < end:
            senders[place].send(POINTS)
            sent[place] += 1

    with ThreadPoolExecutor(len(senders)) as clients:
        list(clients.map(go, range(len(senders))))
    return sum(sent)


def settle(server: psutil.Process | None) -> None:
    """Waits until the server rests: MLflow's starts further processes after it says that it is healthy."""
    end = time.monotonic() + SETTLE_SECONDS
    spent = cpu_seconds(server)
    while time.monotonic() < end:
        time.sleep(1.0)
        spent, before = cpu_seconds(server), spent
        if spent - before < RESTING_SHARE:
            return


def cpu_seconds(root: psutil.Process | None) -> float:
    """Of a process and everything below it, those that have ended and were waited for included."""
    if root is None:
        return 0.0
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def compare(results: Sequence[Result]) -> None:
    """How many times less CPU a point takes here than there, body and shape being the same."""
    ours = {
        (result.series, result.clients): result
        for result in results
        if result.system == "tunebook" and result.body == "json"
    }
    for peer in results:
        own = ours.get((peer.series, peer.clients))
        if peer.system == "tunebook" or own is None:
            continue
        line = {
            "benchmark": "ingest",
            "compared_with": peer.system,
            "store": peer.store,
            "clients": peer.clients,
            "series": peer.series,
            "times_less_cpu": round(peer.cpu_microseconds_per_point / own.cpu_microseconds_per_point, 1),
        }
        write(line)


def write(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

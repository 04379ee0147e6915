"""How long an ask takes over HTTP, with each kind of sampler, and how many clients get at once.

    python -m benchmarks.ask_http [--history 0 1000 10000] [--asks 30] [--clients 8] [--seconds 10]

A real server on a real Postgres. For each sampler and number of finished trials: the first ask after the
server was started; then asks after each of which the trial reports and finishes, so that a model has
something new each time; wall time and the server's CPU. Then as many clients as told ask at once, as fast as
they can, for 1, 8 and 50 trials at a time, from quasi-random points; and beside them how often it says
who they are, which is what its HTTP alone costs. One JSON line each.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sqlalchemy import Engine, text

from benchmarks.ask import fresh_database
from benchmarks.open_study import cpu_seconds, serving
from tests.scale import build
from tunebook.api import Api
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import access, studies

SAMPLERS = ("halton", "tpe", "bayesian")
ROOM = 1_000_000
AT_ONCE = (1, 8, 50)
NOBODY_ASKS = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--history", type=int, nargs="+", default=[0, 1_000, 10_000])
    parser.add_argument("--asks", type=int, default=30)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        postgres = Postgres(Path(folder))
        postgres.start()
        try:
            for history in arguments.history:
                measure(postgres, history, arguments)
        finally:
            postgres.stop()


def measure(postgres: Postgres, history: int, arguments: argparse.Namespace) -> None:
    name = f"ask_{history}"
    engine = fresh_database(postgres, name)
    study = build(engine, trials=history, points=10)
    token = access.create_owner_token(engine, name="bench")
    room = {"budget": ROOM, "parallel": 10_000, "state": "running"}
    studies.edit(engine, study_id=study, changes=room, actor="user:bench")
    for sampler in SAMPLERS:
        choose(engine, study, sampler)
        with serving(postgres.url(name)) as (server, address), closing(Api(address, token)) as api:
            api.get("/me")
            say(sampler, history, **alone(api, study, arguments.asks, psutil.Process(server.pid)))
    choose(engine, study, "halton")
    with serving(postgres.url(name)) as (server, address):
        ask_alone(address, token, study)  # the first one pays for the start
        for count in AT_ONCE:
            found = together(address, token, study, count, arguments)
            say("halton", history, clients=arguments.clients, trials_an_ask=count, **found)
        said = together(address, token, study, NOBODY_ASKS, arguments)["asks_per_second"]
        say("none", history, clients=arguments.clients, who_am_i_per_second=said)
    engine.dispose()


def choose(engine: Engine, study: int, sampler: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE studies SET sampler = :name, sampler_options = '{}' WHERE id = :id"),
            {"name": sampler, "id": study},
        )


def alone(api: Api, study: int, asks: int, server: psutil.Process) -> dict[str, object]:
    waits, spent, drawn = [], [], []
    for number in range(asks + 1):
        before, began = cpu_seconds(server), time.perf_counter()
        (claim,) = ask(api, study, f"alone/{time.monotonic_ns()}")
        waits.append((time.perf_counter() - began) * 1000)
        spent.append((cpu_seconds(server) - before) * 1000)
        drawn.append(claim["trial"]["drawn_by"])
        tell(api.url, claim, number)
    return {
        "first_ms": round(waits[0], 1),
        "ms_p50": round(float(np.percentile(waits[1:], 50)), 1),
        "ms_p99": round(float(np.percentile(waits[1:], 99)), 1),
        "server_cpu_ms_mean": round(float(np.mean(spent[1:])), 1),
        "drawn_by": {each: drawn.count(each) for each in sorted(set(drawn))},
    }


def ask_alone(url: str, token: str, study: int) -> None:
    with closing(Api(url, token)) as api:
        ask(api, study, "first")


def ask(api: Api, study: int, client: str, count: int = 1) -> list[dict[str, Any]]:
    wanted = {"client_id": client, "count": count}
    return list(api.post(f"/studies/{study}/trials:ask", wanted, timeout_seconds=60)["trials"])


def tell(url: str, claim: Mapping[str, Any], number: int) -> None:
    trial = claim["trial"]["id"]
    values = {"valid/error": {"step": [1], "value": [0.05 + 0.01 * np.sin(number)]}}
    with closing(Api(url, claim["token"], timeout_seconds=60)) as own:
        own.post(f"/trials/{trial}:report", {"epoch": 1, "sequence": 0, "series": values})
        own.post(f"/trials/{trial}:finish", {"epoch": 1, "state": "completed"})


def together(
    url: str, token: str, study: int, count: int, arguments: argparse.Namespace
) -> dict[str, object]:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(arguments.clients)  # what they import costs seconds of both cores
    with spawn.Pool(arguments.clients, initializer=Barrier.wait, initargs=(ready,)) as pool:
        told = [(url, token, study, count, arguments.seconds)] * arguments.clients
        found = pool.starmap(asking, told, chunksize=1)
    numbers = [number for each, _ in found for number in each]
    waits = [wait for _, each in found for wait in each]
    return {
        "asks_per_second": round(len(waits) / arguments.seconds, 1),
        "trials_per_second": round(len(numbers) / arguments.seconds, 1),
        "given_twice": len(numbers) - len(set(numbers)),
        "ms_p50": round(float(np.percentile(waits, 50)), 1),
        "ms_p99": round(float(np.percentile(waits, 99)), 1),
    }


def asking(url: str, token: str, study: int, count: int, seconds: float) -> tuple[list[int], list[float]]:
    """The numbers of the trials that it got, and how long it waited each time, ms."""
    numbers, waits, client = [], [], multiprocessing.current_process().name
    with closing(Api(url, token)) as api:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.perf_counter()
            numbers += once(api, study, f"{client}/{time.monotonic_ns()}", count)
            waits.append((time.perf_counter() - began) * 1000)
    return numbers, waits


def once(api: Api, study: int, client: str, count: int) -> list[int]:
    if count == NOBODY_ASKS:
        api.get("/me")
        return []
    return [int(claim["trial"]["number"]) for claim in ask(api, study, client, count)]


def say(sampler: str, history: int, **found: object) -> None:
    line = {"benchmark": "ask_http", "sampler": sampler, "finished_trials": history, **found}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

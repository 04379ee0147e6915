"""How long an ask takes at 0, 10,000 and 100,000 finished trials, beside Optuna's RDBStorage with its
QMCSampler.

    python -m benchmarks.ask [--history 0 10000 100000] [--asks 200]

Prints one JSON line per result. `own` is the sampler's share alone; `service` is the whole use case, with
its transaction; Optuna's ask is `study.ask()` with two suggested floats on PostgreSQL (the same server),
where Optuna is installed (`uv pip install 'optuna>=5,<6'`), after the same number of finished trials.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psycopg

from tests.scale import build
from tunebook_server.domain.samplers.registry import sampler
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import studies, trials
from tunebook_server.storage.engine import Engine, connect
from tunebook_server.storage.migrate import migrate


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--history", type=int, nargs="+", default=[0, 10_000, 100_000])
    parser.add_argument("--asks", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            for history in arguments.history:
                measure_tunebook(server, history, arguments.asks)
                if find_spec("optuna"):
                    measure_optuna(server, history, min(arguments.asks, 50))
        finally:
            server.stop()


def measure_tunebook(server: Postgres, history: int, asks: int) -> None:
    engine = fresh_database(server, f"tunebook_{history}")
    study_id = build(engine, trials=history, points=1)
    room = {"budget": history + 2 * asks, "parallel": 2 * asks}
    study = studies.edit(engine, study_id=study_id, revision=None, changes=room, actor="user:bench")
    halton = sampler(study.sampler, study.sampler_options)
    own = timed(asks, lambda n: halton.suggest(study.space, seed=study.seed, index=history + n, count=1))
    service = timed(asks, lambda n: ask(engine, study_id, n))
    report("ask", "tunebook", history, own=own, service=service)
    engine.dispose()


def ask(engine: Engine, study_id: int, n: int) -> None:
    trials.ask(engine, study_id=study_id, client_id=f"bench-{n}", actor="user:bench")


def measure_optuna(server: Postgres, history: int, asks: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    engine = fresh_database(server, f"optuna_{history}", migrated=False)
    url = server.url(f"optuna_{history}").replace("postgresql://", "postgresql+psycopg://", 1)
    engine.dispose()
    space = {
        "learning_rate": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True),
        "weight_decay": optuna.distributions.FloatDistribution(1e-6, 1e-1, log=True),
    }
    study = optuna.create_study(
        storage=url, sampler=optuna.samplers.QMCSampler(qmc_type="halton", scramble=True)
    )
    generator = np.random.default_rng(0)
    for start in range(0, history, 1000):
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params={name: float(generator.uniform(1e-4, 1e-2)) for name in space},
                    distributions=space,
                    value=float(generator.uniform()),
                )
                for _ in range(min(1000, history - start))
            ]
        )
    service = timed(asks, lambda _: study.ask(space))
    report("ask", "optuna", history, service=service)


def fresh_database(server: Postgres, name: str, *, migrated: bool = True) -> Engine:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    engine = connect(server.url(name))
    if migrated:
        migrate(engine)
    return engine


def timed(repeats: int, call: Callable[[int], object]) -> list[float]:
    """Milliseconds of each call, after five that are not counted."""
    for n in range(5):
        call(repeats + n)
    spent = []
    for n in range(repeats):
        start = time.perf_counter()
        call(n)
        spent.append((time.perf_counter() - start) * 1000)
    return spent


def report(benchmark: str, system: str, history: int, **samples: list[float]) -> None:
    line: dict[str, object] = {"benchmark": benchmark, "system": system, "finished_trials": history}
    for name, spent in samples.items():
        line[f"{name}_p50_ms"] = round(float(np.percentile(spent, 50)), 4)
        line[f"{name}_p99_ms"] = round(float(np.percentile(spent, 99)), 4)
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

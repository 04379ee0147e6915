"""What a large study costs: its findings, first and kept up to date, and each of its figures.

    python -m benchmarks.findings_cost [--trials 1000 3000 10000] [--points 1000] [--chromium PATH]

Studies of generated trials with `--points` evaluations of four metrics each stand in an embedded Postgres.
For every size one JSON line of findings, measured in a process of its own as the control worker does the
work: reading what the checklist looks at, each item of it, the first refresh, one after a batch of points and
one after a trial has ended; in ms on the clock, of the process's CPU and of Postgres's, and MiB that a step
had at most above what was there before it. `share_of_a_core`: what both take at most, at the service's pace.

Then one line of figures, which a real server draws: CPU of the server for one drawn anew and for one that it
has kept, Postgres beside it, and bytes as sent. For the largest study also the time from the start of the
navigation to the figure drawn, in Chromium, on the figure's own page with the assets cached.

The last line is how all of it grows: the slope of cost over trials on logarithmic axes, 1 for linear, 0 for
what does not grow; costs below 10 ms count as 10. Takes some five minutes and 1 GB of disk.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import psycopg

from benchmarks.figures_cost import drawn_in_chromium, drawn_on_the_server
from benchmarks.open_study import cpu_seconds, serving
from tests.scale import METRICS, build
from tunebook_server.domain.findings import CHECKLIST
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import findings, metrics, results, studies, trials
from tunebook_server.storage.engine import Engine, connect
from tunebook_server.storage.migrate import migrate

RUNNING = 2
BATCH_POINTS = 10
LEAST_MS = 10.0

Costs = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 3_000, 10_000])
    parser.add_argument("--points", type=int, default=1_000)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        postgres = Postgres(Path(folder))
        postgres.start()
        try:
            sizes = sorted(arguments.trials)
            found = [measure(postgres, Path(folder), size, sizes[-1], arguments) for size in sizes]
        finally:
            postgres.stop()
    if len(sizes) > 1:
        say({"growth": growth(sizes, found)})


def measure(
    postgres: Postgres, folder: Path, size: int, largest: int, arguments: argparse.Namespace
) -> Costs:
    """One study, its two lines printed; the CPU of everything, by what it was spent on."""
    name = f"findings_{size}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = postgres.url(name)
    engine = connect(url)
    migrate(engine)
    study_id = build(engine, trials=size, points=arguments.points, running=RUNNING)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")  # else autovacuum does it while Postgres is measured
        connection.execute("CHECKPOINT")
    assert postgres.process is not None
    pid = postgres.process.pid
    told = {"trials": size, "points": arguments.points}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        of_findings = pool.submit(cost_of_findings, url, study_id, pid, arguments.points).result()
    say({**told, "findings": of_findings})
    with serving(url) as (server, address):
        processes = (psutil.Process(server.pid), psutil.Process(pid))
        of_figures = drawn_on_the_server(engine, study_id, address, processes)
        if size == largest:
            shown = drawn_in_chromium(
                engine, study_id, address, processes, profile=folder / "profile", chromium=arguments.chromium
            )
            of_figures = {kind: {**costs, **shown.get(kind, {})} for kind, costs in of_figures.items()}
    say({**told, "figures": of_figures})
    engine.dispose()
    spent = {f"findings {step}": costs["cpu_ms"] for step, costs in of_findings.items() if "cpu_ms" in costs}
    spent |= {
        f"Postgres {step}": costs["postgres_cpu_ms"]
        for step, costs in of_findings.items()
        if "postgres_cpu_ms" in costs
    }
    return spent | {f"figure {kind}": costs["cpu_ms"] for kind, costs in of_figures.items()}


# Findings, in a process of their own ----------------------------------------------------------------------


def cost_of_findings(url: str, study_id: int, postgres_pid: int, points: int) -> dict[str, Costs]:
    """By step; `item …` for each of the checklist."""
    import scipy.signal
    import scipy.stats  # noqa: F401  # half a second of a worker's start, and not of a study

    found: dict[str, Costs] = {}
    meter = Meter(psutil.Process(postgres_pid), found)
    engine = connect(url)
    with meter.step("read"):
        read = results.read(engine, studies.get(engine, study_id=study_id))
    for name, check in CHECKLIST.items():
        with meter.step(f"item {name}", postgres=False):
            check(read)
    fresh = connect(url)  # what is kept of a study is kept by engine
    with meter.step("first refresh"):
        findings.refresh(fresh, study_id=study_id)
    batched, ended = running_trials(fresh, study_id)
    report(fresh, batched, points)
    with meter.step("refresh after a batch"):
        findings.refresh(fresh, study_id=study_id)
    trials.finish(fresh, trial_id=ended, epoch=1, state="completed")
    with meter.step("refresh after a trial"):
        findings.refresh(fresh, study_id=study_id)
    for costs in found.values():
        if "postgres_cpu_ms" in costs:
            pause_ms = max(findings.PAUSE_SECONDS * 1000, findings.PAUSE_PER_CPU * costs["cpu_ms"])
            busy_ms = costs["cpu_ms"] + costs["postgres_cpu_ms"]
            costs["share_of_a_core"] = round(busy_ms / (busy_ms + pause_ms), 3)
    return found


class Meter:
    """Writes down what a step costs."""

    def __init__(self, postgres: psutil.Process, found: dict[str, Costs]) -> None:
        self.postgres = postgres
        self.found = found

    @contextmanager
    def step(self, name: str, *, postgres: bool = True) -> Iterator[None]:
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        resident, there = memory_mib("VmRSS"), cpu_seconds(self.postgres) if postgres else 0.0
        here, start = time.process_time(), time.perf_counter()
        yield
        costs = {
            "ms": 1000 * (time.perf_counter() - start),
            "cpu_ms": 1000 * (time.process_time() - here),
            "peak_mib": memory_mib("VmHWM") - resident,
        }
        if postgres:
            costs["postgres_cpu_ms"] = 1000 * (cpu_seconds(self.postgres) - there)
        self.found[name] = {unit: round(value, 1) for unit, value in costs.items()}


def memory_mib(field: str) -> float:
    """Of this process: VmRSS what it has, VmHWM the most that it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def running_trials(engine: Engine, study_id: int) -> list[int]:
    page = trials.page(engine, study_id=study_id, states=["running"], limit=RUNNING)
    return [row.trial.id for row in page.items]


def report(engine: Engine, trial_id: int, points: int) -> None:
    """One more batch of a running trial."""
    steps = 10 * (points + 1 + np.arange(BATCH_POINTS))
    series = {metric: (steps, np.full(BATCH_POINTS, 0.5)) for metric in METRICS}
    metrics.report(engine, trial_id=trial_id, epoch=1, sequence=1, series=series, content_hash=b"batch")


# What it comes to -----------------------------------------------------------------------------------------


def growth(sizes: Sequence[int], found: Sequence[Costs]) -> dict[str, float]:
    """The slope of each cost, the steepest first."""
    slopes = {name: slope(sizes, [costs[name] for costs in found]) for name in found[0]}
    return dict(sorted(slopes.items(), key=lambda named: -named[1]))


def slope(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """By least squares on logarithmic axes."""
    fitted = np.polynomial.Polynomial.fit(np.log(sizes), np.log(np.maximum(costs, LEAST_MS)), 1)
    return round(float(fitted.convert().coef[1]), 2) if len(fitted.convert().coef) > 1 else 0.0


def say(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps({"benchmark": "findings_cost", **line}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

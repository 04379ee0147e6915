"""How many trials an hour the machinery itself carries, when training costs nothing.

    python -m benchmarks.throughput [--trials 10000] [--slots 4] [--workers 64] [--claims 2000]

A real `tunebook up` runs a study whose job prints one point and ends. One JSON line: trials/s from the
creation of the study to the end of its last trial, CPU of each part per trial, rows of each table per trial,
and memory of each part early and late. Then claims: as many workers as told ask over HTTP, each on a
connection of its own, first while nothing is queued, then while there is a trial for every claim. Takes as
long as its trials do.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

from tests.faults.tree import MARKS, Up, command
from tunebook.api import Api
from tunebook.errors import TunebookError
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import access
from tunebook_server.storage.engine import connect

NO_OP = ["printf", '{"step": 1, "loss": 0.5}\\n']
PARTS = ("server", "control", "worker", "supervisor", "postgres")
LOOK_SECONDS = 1.0
TABLES = ("trials", "attempts", "metric_batches", "metric_chunks", "curves", "log_chunks", "tokens", "audit")
DEFAULT_TIMINGS = {
    "TUNEBOOK_BEAT_SECONDS": "15",
    "TUNEBOOK_LEASE_SECONDS": "90",
    "TUNEBOOK_FENCE_SECONDS": "75",
    "TUNEBOOK_SWEEP_SECONDS": "5",
    "TUNEBOOK_HINT_AGAIN_SECONDS": "30",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--claims", type=int, default=2_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        with running(Path(folder) / "trials", slots=arguments.slots) as up:
            say(trials(up, arguments.trials))
        with running(Path(folder) / "claims", slots=1) as up:
            say(claims(up, arguments.workers, arguments.claims))


@contextmanager
def running(data: Path, *, slots: int) -> Iterator[Up]:
    up = Up(data, **DEFAULT_TIMINGS)
    up.start("--slots", str(slots))
    try:
        yield up
    finally:
        up.stop()


def trials(up: Up, wanted: int) -> dict[str, object]:
    before, cpu = rows(up), Cpu(up)
    began = time.monotonic()
    study = no_op_study(up, wanted, parallel=64)
    memory: list[dict[str, float]] = []
    ended = 0
    while ended < wanted:
        time.sleep(LOOK_SECONDS)
        cpu.look()
        memory.append(resident_mib(up))
        counts = up.ask(f"/studies/{study}")["counts"]
        ended = sum(counts.get(state, 0) for state in ("completed", "failed", "infeasible", "stopped"))
    seconds = time.monotonic() - began
    after = rows(up)
    return {
        "benchmark": "trials",
        "trials": wanted,
        "completed": up.ask(f"/studies/{study}")["counts"]["completed"],
        "seconds": round(seconds, 1),
        "trials_per_second": round(wanted / seconds, 2),
        "cpu_ms_per_trial": {part: round(spent / wanted * 1000, 1) for part, spent in cpu.spent().items()},
        "rows_per_trial": {table: round((after[table] - before[table]) / wanted, 2) for table in TABLES},
        "resident_mib_early": memory[min(len(memory) // 10, len(memory) - 1)],
        "resident_mib_late": memory[-1],
    }


def claims(up: Up, workers: int, wanted: int) -> dict[str, object]:
    """Of workers that train nothing: what is claimed stays claimed."""
    engine = connect(Postgres(up.data / "postgres").url(), pool_size=1)
    tokens = [access.create_worker_token(engine, name=f"bench-{number}") for number in range(workers)]
    engine.dispose()
    own = up.part("worker")
    assert own
    own.suspend()
    url = (up.data / "address").read_text()
    idle = claimed_per_second(url, tokens, seconds=10.0)
    studies = [no_op_study(up, wanted, parallel=wanted) for _ in range(8)]
    while sum(up.ask(f"/studies/{study}")["counts"].get("queued", 0) for study in studies) < wanted:
        time.sleep(LOOK_SECONDS)
    cpu = Cpu(up)
    busy = claimed_per_second(url, tokens, most=wanted)
    cpu.look()
    own.resume()
    return {
        "benchmark": "claims",
        "workers": workers,
        "asked_per_second_with_nothing_queued": round(idle["asked"], 1),
        "claimed": busy["claimed"],
        "claimed_per_second": round(busy["claimed"] / busy["seconds"], 1),
        "cpu_ms_per_claim": {
            part: round(spent / max(busy["claimed"], 1) * 1000, 2) for part, spent in cpu.spent().items()
        },
    }


def claimed_per_second(
    url: str, tokens: list[str], *, seconds: float = 60.0, most: int | None = None
) -> dict[str, float]:
    """All workers ask as fast as they can, until time is up or enough is claimed."""
    lock, claimed, asked = threading.Lock(), 0, 0
    over = threading.Event()

    def ask(number: int, token: str) -> None:
        nonlocal claimed, asked
        with closing(Api(url, token)) as api:
            worker = api.post("/workers:register", {"name": f"bench-{number}", "slots": 1000})["id"]
            ready.wait()
            place = 0
            while not over.is_set():
                place += 1
                try:
                    got = api.post(f"/workers/{worker}:claim", {"key": f"{time.monotonic_ns()}-{place}"})
                except TunebookError:
                    continue
                with lock:
                    asked += 1
                    claimed += got["claim"] is not None
                    if most is not None and claimed >= most:
                        over.set()

    ready = threading.Barrier(len(tokens) + 1)
    threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in enumerate(tokens)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.monotonic()
    over.wait(seconds)
    spent = time.monotonic() - began
    over.set()
    for thread in threads:
        thread.join()
    return {"claimed": claimed, "asked": asked / spent, "seconds": spent}


def no_op_study(up: Up, budget: int, *, parallel: int) -> int:
    document = {
        "name": "no-op",
        "goal": "what the machinery costs",
        "objective": {"metric": "loss", "direction": "minimize", "evaluation": "best"},
        "sampler": {"name": "halton", "seed": 0, "options": {}},
        "budget": {"trials": budget, "parallel": parallel, "attempts": 3},
        "space": [{"name": "rate", "type": "float", "low": 0.1, "high": 1.0}],
        "job": {"template": "no-op"},
    }
    template = {"name": "no-op", "argv": NO_OP, "folder": str(up.data.parent), "environment": []}
    with closing(up.api()) as api:
        project = api.post("/projects", {"name": f"bench-{time.monotonic_ns()}"})["id"]
        api.post(f"/projects/{project}/job-templates", template)
        return int(api.post(f"/projects/{project}/studies", document)["id"])


class Cpu:
    """CPU seconds of each part since the beginning: its own, and of what it started and has waited for."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self._first = self._last = self._times()

    def look(self) -> None:
        self._last = self._times()

    def spent(self) -> dict[str, float]:
        return {part: seconds - self._first[part] for part, seconds in self._last.items()}

    def _times(self) -> dict[str, float]:
        found = dict.fromkeys(("server", "control", "worker", "postgres"), 0.0)
        for part in found:
            for process in self._up.parts(part):
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    found[part] += times.user + times.system + times.children_user + times.children_system
                    if part == "postgres":  # its backends live as long as their connections
                        own = [child.cpu_times() for child in process.children()]
                        found[part] += sum(child.user + child.system for child in own)
        return found


def resident_mib(up: Up) -> dict[str, float]:
    """By part, the sum over its processes; pages that Postgres' processes share count in each."""
    found: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    for process in up.tree():
        words = " ".join(command(process))
        part = next((name for name in PARTS if MARKS[name] in words), None)
        if part is not None:
            with suppress(psutil.Error):
                found[part] += process.memory_info().rss / 2**20
    return {part: round(size, 1) for part, size in found.items()}


def rows(up: Up) -> Mapping[str, int]:
    return {table: up.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in TABLES}


def say(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

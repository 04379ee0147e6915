"""How long `report()` takes while the server behaves, and while it does not.

    python -m benchmarks.report [--reports 20000] [--metrics 4] [--pause-ms 0.5]

Prints one JSON line per state of the server: good, gone (connection refused), hang (accepts and is silent),
loris (a byte now and then), garbage (not HTTP), error (500), busy (429), reset. Every state has a process of
its own, where small NumPy products run between the reports, because the interpreter's lock is what a report
could have to wait for. `exit_seconds`: from the end of the loop to the end of the process; `memory_mib`: how
much its resident set grew.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.client.unruly import UnrulyServer, claim

STATES = ("good", "gone", "hang", "loris", "garbage", "error", "busy", "reset")

LOOP = """
import json, sys, time
import numpy as np, psutil
from tunebook.client import Client

url, spool, claim, reports, metrics, pause = sys.argv[1:]
trial = Client(url, "tbk_pat_test", spool=spool).hold(json.loads(claim))
weights, values = np.ones((64, 64)), {f"metric/{i}": 0.5 for i in range(int(metrics))}
took, resident = [], psutil.Process().memory_info().rss
for step in range(int(reports)):
    until = time.perf_counter() + float(pause) / 1000
    while time.perf_counter() < until:
        weights @ weights
    start = time.perf_counter()
    trial.report(step, values)
    took.append(time.perf_counter() - start)
took.sort()
print(json.dumps({
    "p50_ms": took[len(took) // 2] * 1e3,
    "p99_ms": took[int(len(took) * 0.99)] * 1e3,
    "max_ms": took[-1] * 1e3,
    "memory_mib": (psutil.Process().memory_info().rss - resident) / 2**20,
    "dropped_points": trial._writer.dropped,
}), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=int, default=20_000)
    parser.add_argument("--metrics", type=int, default=4)
    parser.add_argument("--pause-ms", type=float, default=0.5, help="training between two reports")
    options = parser.parse_args()
    for state in STATES:
        print(json.dumps(measure(state, options)), flush=True)


def measure(state: str, options: argparse.Namespace) -> dict[str, Any]:
    server = UnrulyServer(state)
    server.become(state)
    numbers = [str(n) for n in (options.reports, options.metrics, options.pause_ms)]
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as spool:
        command = [sys.executable, "-c", LOOP, server.url, spool, json.dumps(claim()), *numbers]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1], text=True
        ) as child:
            assert child.stdout is not None
            line, ended = child.stdout.readline(), time.perf_counter()
            status = child.wait()
        exit_seconds = time.perf_counter() - ended
    server.close()
    found = {key: round(value, 4) for key, value in json.loads(line).items()}
    return {
        "benchmark": "report",
        "server": state,
        "reports": options.reports,
        **found,
        "exit_seconds": round(exit_seconds, 2),
        "exit_status": status,
    }


if __name__ == "__main__":
    main()

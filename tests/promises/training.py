"""A training loop of its own process: `python -m tests.promises.training URL STUDY SPOOL STEPS STOP`.

Reports four metrics a step at an even pace, at least STEPS steps and until the file STOP is there; then says
in one line how many. Whatever the server does shows in its exit status, or not at all.
"""

import json
import os
import sys
import time
from pathlib import Path

from tunebook.client import Client

METRICS = ("loss", "accuracy", "gradient norm", "rate")
BURST_STEPS, PAUSE_SECONDS = 10, 0.02


def values(step: int) -> dict[str, float]:
    return {name: place + step / 2**20 for place, name in enumerate(METRICS)}


def main() -> None:
    url, study, spool, steps, stop = sys.argv[1:]
    trial = Client(url, os.environ["TUNEBOOK_TOKEN"], spool=spool).study(int(study)).ask(patience_seconds=120)
    assert trial is not None
    print(json.dumps({"trial": trial.id}), flush=True)
    step, slowest = 0, 0.0
    while step < int(steps) or not Path(stop).exists():
        for _ in range(BURST_STEPS):
            started = time.perf_counter()
            trial.report(step, values(step))
            slowest = max(slowest, time.perf_counter() - started)
            step += 1
        time.sleep(PAUSE_SECONDS)
    deadline = time.monotonic() + 120
    while not trial.finish() and time.monotonic() < deadline:
        time.sleep(0.1)
    print(json.dumps({"steps": step, "finished": trial.finish(), "slowest_ms": slowest * 1000}), flush=True)


if __name__ == "__main__":
    main()

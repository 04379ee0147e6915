"""R11: tracking never harms training, whatever the server does."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.client.unruly import UnrulyServer, claim
from tests.promises.conftest import Figures, Size

pytestmark = pytest.mark.quiet

STATES = ("good", "gone", "hang", "loris", "garbage", "error", "busy", "reset")
"""Connection refused; black hole; a byte now and then; not HTTP; 500; 429; cut off."""
P99_MS, MAX_MS, MEMORY_MIB, EXIT_SECONDS = 1.0, 50.0, 64.0, 5.0
MARGIN, EXIT_MARGIN = 20, 4
"""For a machine that is busy with other tests as well; the control is a hundred times slower still."""

LOOP = """
import json, sys, time
import psutil
from tunebook.client import Client

url, spool, claim, reports, synchronous = sys.argv[1:]
trial = Client(url, "tbk_pat_test", spool=spool).hold(json.loads(claim))
process, took = psutil.Process(), []
resident, values = process.memory_info().rss, {f"metric/{number}": 0.5 for number in range(4)}
if synchronous:
    from tunebook.api import Api
    from tunebook.errors import TunebookError
    api = Api(url, timeout_seconds=2)
    def report(step, values):
        try:
            api.post("/trials/7:report", {"epoch": 1, "sequence": step, "series": {}})
        except TunebookError:
            pass
else:
    report = trial.report
for step in range(int(reports)):
    until = time.perf_counter() + 0.0003
    while time.perf_counter() < until:
        pass
    started = time.perf_counter()
    report(step, values)
    took.append((time.perf_counter() - started) * 1000)
took.sort()
grown = (process.memory_info().rss - resident) / 2**20
p99 = took[int(len(took) * 0.99)]
print(json.dumps({"p99_ms": p99, "max_ms": took[-1], "memory_mib": grown}), flush=True)
"""


@pytest.mark.parametrize("state", STATES)
def test_a_report_returns_at_once(
    tmp_path: Path, size: Size, figures: Figures, tier: str, state: str
) -> None:
    found = trained(tmp_path, state, size(p=5_000, n=50_000))
    assert found["status"] == 0, found["stderr"]
    assert "Traceback" not in found["stderr"]
    slack = 1 if tier == "N" else MARGIN
    assert found["p99_ms"] <= P99_MS * slack
    assert found["max_ms"] <= MAX_MS * slack
    assert found["memory_mib"] <= MEMORY_MIB
    assert found["exit_seconds"] <= EXIT_SECONDS * (1.2 if tier == "N" else EXIT_MARGIN)
    if state == "good":
        figures(reports_each=size(p=5_000, n=50_000), exceptions=0)
    said = {"p99": found["p99_ms"], "max": found["max_ms"], "exit": found["exit_seconds"] * 1000}
    figures(**{state: ", ".join(f"{name} {value:.3g} ms" for name, value in said.items())})


def test_a_synchronous_client_would_stand_still(tmp_path: Path, figures: Figures) -> None:
    """The control: a client that waits for its answer, for two seconds at most."""
    found = trained(tmp_path, "hang", 3, synchronous=True)
    assert found["p99_ms"] > P99_MS * MARGIN
    assert found["max_ms"] > MAX_MS * MARGIN
    figures(control=f"synchronous client: caught, p99 {found['p99_ms']:,.0f} ms")


def trained(folder: Path, state: str, reports: int, *, synchronous: bool = False) -> dict[str, Any]:
    """A loop of its own process against a server in this state, and how it was for the loop."""
    server = UnrulyServer()
    server.become(state)
    argv = [sys.executable, "-c", LOOP, server.url, str(folder / "spool"), json.dumps(claim()), str(reports)]
    argv.append("yes" if synchronous else "")
    with (folder / "stderr").open("w") as errors:
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True) as child:
            assert child.stdout is not None
            line, ended = child.stdout.readline(), time.perf_counter()
            status = child.wait(60)
        exit_seconds = time.perf_counter() - ended
    server.close()
    said = json.loads(line or "{}")
    return {**said, "exit_seconds": exit_seconds, "status": status, "stderr": (folder / "stderr").read_text()}

"""What it costs to open a study: server CPU, bytes and time to the first plot, in Chromium.

    python -m benchmarks.open_study [--trials 1000 10000] [--points 100] [--opens 5] [--chromium PATH]

A real server process on an embedded Postgres serves studies of generated trials to a browser with a profile
on disk, as people have one: a private window keeps no compiled scripts, and would compile Plotly's bundle
anew each time. The first open has an empty cache; the second finds the immutable assets (Plotly's bundle,
CSS, modules) in it, and from then on Chromium keeps them compiled. Prints one JSON line per size: medians
over the opens from the third on, and the first and the second beside them. Bytes are what came over the
network; CPU is the server process alone, Postgres is given beside it; times are since the start of the
navigation.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from playwright.sync_api import BrowserContext, sync_playwright

from tests.scale import build
from tunebook_server.embedded.postgres import Postgres
from tunebook_server.services import access
from tunebook_server.storage.engine import Engine, connect
from tunebook_server.storage.migrate import migrate

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RECORD_READY = """
window.readyAt = [];
const seen = new WeakSet();
const look = () => {
  for (const view of document.querySelectorAll('figure-view[data-state="ready"]')) {
    if (!seen.has(view)) { seen.add(view); window.readyAt.push(performance.now()); }
  }
};
const watched = {subtree: true, childList: true, attributeFilter: ['data-state']};
new MutationObserver(look).observe(document, watched);
"""
ALL_IN_VIEW_READY = """() => {
  const all = [...document.querySelectorAll('figure-view')];
  const views = all.filter(view => view.checkVisibility() && view.getBoundingClientRect().top < innerHeight);
  return views.length > 0 && views.every(view => view.dataset.state === 'ready');
}"""
SETTLED_SECONDS = 1.0
HEALTHY_SECONDS = 120


@dataclass(frozen=True)
class Opening:
    first_plot_ms: float
    in_view_ms: float
    bytes_received: float
    server_cpu_ms: float
    postgres_cpu_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--opens", type=int, default=5)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        postgres = Postgres(Path(folder))
        postgres.start()
        try:
            for trials in arguments.trials:
                measure(postgres, Path(folder), trials, arguments)
        finally:
            postgres.stop()


def measure(postgres: Postgres, folder: Path, trials: int, arguments: argparse.Namespace) -> None:
    import psycopg

    points, opens = arguments.points, arguments.opens
    name = f"open_{trials}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    engine = connect(postgres.url(name))
    migrate(engine)
    study_id = build(engine, trials=trials, points=points)
    assert postgres.process is not None
    with serving(postgres.url(name)) as (server, address), sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder / name, executable_path=arguments.chromium, args=CHROMIUM_FLAGS
        )
        log_in(context, address, engine)
        processes = (psutil.Process(server.pid), psutil.Process(postgres.process.pid))
        openings = [open_study(context, f"{address}/studies/{study_id}", processes) for _ in range(opens + 2)]
        context.close()
    engine.dispose()
    report(trials, points, openings)


@contextmanager
def serving(database_url: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "TUNEBOOK_DATABASE_URL": database_url, "TUNEBOOK_PORT": str(port)}
    argv = [sys.executable, "-m", "tunebook", "server"]
    server = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(address, server)
        yield server, address
    finally:
        server.terminate()
        server.wait()


def wait_until_healthy(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + HEALTHY_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with status {server.returncode}")
        try:
            if httpx.get(f"{address}/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise SystemExit(f"the server is not healthy after {HEALTHY_SECONDS} s")


def log_in(context: BrowserContext, address: str, engine: Engine) -> None:
    access.ensure_owner(engine)
    code = access.issue_login_code(engine)
    answer = context.request.post(f"{address}/api/v1/login", data={"code": code}, headers={"Origin": address})
    assert answer.ok, answer.text()


def open_study(
    context: BrowserContext, url: str, processes: tuple[psutil.Process, psutil.Process]
) -> Opening:
    page = context.new_page()
    page.add_init_script(RECORD_READY)
    received = 0

    def count(event: dict[str, Any]) -> None:
        nonlocal received
        received += event["encodedDataLength"]

    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.loadingFinished", count)
    before = [cpu_seconds(process) for process in processes]
    page.goto(url, wait_until="commit")
    page.wait_for_function("() => window.readyAt.length > 0", timeout=60_000)
    page.wait_for_function(ALL_IN_VIEW_READY, timeout=60_000)
    in_view = float(page.evaluate("performance.now()"))
    settle(page, lambda: received)
    first = float(page.evaluate("window.readyAt[0]"))
    spent = [(cpu_seconds(p) - start) * 1000 for p, start in zip(processes, before, strict=True)]
    page.close()
    return Opening(first, in_view, received, spent[0], spent[1])


def settle(page: Any, received: Any) -> None:
    """Until nothing has come for a second: what loads late belongs to the visit too."""
    last = -1
    while received() != last:
        last = received()
        page.wait_for_timeout(SETTLED_SECONDS * 1000)


def cpu_seconds(process: psutil.Process) -> float:
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return float(total)


def report(trials: int, points: int, openings: list[Opening]) -> None:
    first, second, *counted = (asdict(opening) for opening in openings)
    line: dict[str, object] = {
        "benchmark": "open_study",
        "trials": trials,
        "points": points,
        "opens": len(counted),
    }
    for name in first:
        line[name] = round(statistics.median(opening[name] for opening in counted), 1)
        line[f"first_visit_{name}"] = round(first[name], 1)
        line[f"second_visit_{name}"] = round(second[name], 1)
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

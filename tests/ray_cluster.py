"""A Ray cluster of one node for tests: head, dashboard and raylet, on ports and in a folder of its own."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.live import free_port, until

PORTS = (
    "port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "runtime-env-agent-port",
    "node-manager-port",
    "object-manager-port",
    "ray-client-server-port",
)
"""All are named: a raylet ends itself where its agents do not choose theirs within some 15 s."""
START_SECONDS = 300.0
"""The first start of an installation compiles all of Ray's Python, and a head is ten processes."""
ON_A_BUSY_HOST = {
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "240",
    "RAY_agent_register_timeout_ms": "240000",
    "RAY_worker_register_timeout_seconds": "240",
    "RAY_health_check_timeout_ms": "60000",
}
"""Ray's own patience with its parts, without which a head may end while it starts."""
PATIENT_START = """
import sys
from ray._private import services
from ray.scripts.scripts import main
once = services.get_node

def patiently(*node):
    services.get_node = once
    return services.get_node_with_retry(*node, timeout_s=240)

services.get_node = patiently
sys.exit(main())
"""
"""`ray`, which gives its own node 30 s to appear, by a number in its code: too few on a busy host."""
SMALL = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_memory_monitor_refresh_ms": "0",
}
ALIVE = ("PENDING", "RUNNING")


def why_not() -> str:
    """Empty where a cluster can be started."""
    return "" if importlib.util.find_spec("ray") else "needs ray[default]"


class Cluster:
    def __init__(self, *, cpus: int = 4) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))  # short: Ray's sockets lie below
        self.address = f"http://127.0.0.1:{free_port()}"
        self._cpus = cpus
        self._ports = {name: free_port() for name in PORTS}
        self._client = httpx.Client(base_url=self.address, timeout=60.0)
        self._held = 0
        self._dashboards: list[subprocess.Popen[bytes]] = []
        """Those that were started anew."""

    def start(self) -> None:
        flags = {
            **self._ports,
            "dashboard-host": "127.0.0.1",
            "dashboard-port": self.address.rpartition(":")[2],
            "num-cpus": self._cpus,
            "num-gpus": 2,
            "resources": '{"fast": 1}',
            "object-store-memory": 80_000_000,
            "include-log-monitor": "false",
            "temp-dir": self.folder / "ray",
        }
        # Without --block, for that ends all where one part has: a server for other clients gives up early.
        argv = [sys.executable, "-c", PATIENT_START, "start", "--head", "--disable-usage-stats"]
        with (self.folder / "head.out").open("ab") as output:
            done = subprocess.run(
                [*argv, *(f"--{name}={value}" for name, value in flags.items())],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.folder),
                    "LANG": "C.UTF-8",
                    **ON_A_BUSY_HOST,
                    **SMALL,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                check=False,
            )
        assert done.returncode == 0, (self.folder / "head.out").read_text()[-3000:]
        until(self._takes_jobs, "Ray takes jobs", START_SECONDS)

    def stop(self) -> None:
        """Nothing of it runs when this returns."""
        self._end()
        self._client.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def forget_all(self) -> None:
        """A head that starts again without its state."""
        self._end()
        self.start()

    @contextlib.contextmanager
    def held(self, *, but: int = 0) -> Iterator[None]:
        """Nothing else starts meanwhile: a job has all cores, or all but those in use."""
        self._held += 1
        name = f"held-{os.getpid()}-{self._held}"
        request = {
            "submission_id": name,
            "entrypoint": "exec sleep 86400",
            "entrypoint_num_cpus": self._cpus - but,
        }
        self._client.post("/api/jobs/", json=request).raise_for_status()
        until(lambda: self.job(name)["status"] == "RUNNING", "the cluster is full", START_SECONDS)
        try:
            yield
        finally:
            self.end(name)

    def run_again(self, name: str) -> None:
        """The same command as another job."""
        again = {"submission_id": f"{name}-again", "entrypoint": self.job(name)["entrypoint"]}
        self._client.post("/api/jobs/", json={**again, "entrypoint_num_cpus": 1}).raise_for_status()

    def end(self, name: str) -> None:
        """As `ray job stop`; nothing for a job that Ray does not know."""
        self._client.post(f"/api/jobs/{name}/stop")

    def job(self, name: str) -> dict[str, Any]:
        return dict(self._client.get(f"/api/jobs/{name}").raise_for_status().json())

    def jobs(self, states: Collection[str] = ("RUNNING",)) -> list[str]:
        """The names of Tunebook's."""
        rows = self._client.get("/api/jobs/").raise_for_status().json()
        return sorted(
            row["submission_id"]
            for row in rows
            if row["status"] in states and str(row["submission_id"]).startswith("tunebook-")
        )

    def needs(self, name: str) -> dict[str, float]:
        """What Ray reckons with for the job, by resource."""
        rows = (
            self._client.get("/api/v0/actors", params={"detail": 1, "limit": 1000}).raise_for_status().json()
        )
        (found,) = (
            row
            for row in rows["data"]["result"]["result"]
            if row["name"] == f"_ray_internal_job_actor_{name}"
        )
        return dict(found["required_resources"])

    def log(self, name: str) -> str:
        return str(self._client.get(f"/api/jobs/{name}/logs").raise_for_status().json()["logs"])

    @contextlib.contextmanager
    def without_dashboard(self) -> Iterator[None]:
        """It is killed, and started again as it was."""
        dashboard = next(
            p for p in self._processes() if any("dashboard/dashboard.py" in w for w in p.cmdline())
        )
        argv, environment = dashboard.cmdline(), dashboard.environ()
        ends = [dashboard, *dashboard.children(recursive=True)]
        for process in ends:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ends, timeout=20)
        yield
        with (self.folder / "dashboard.out").open("ab") as output:
            again = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._dashboards.append(again)
        until(self._takes_jobs, "the dashboard is back", START_SECONDS)

    def _takes_jobs(self) -> bool:
        try:
            return self._client.get("/api/jobs/").is_success
        except httpx.HTTPError:
            return False

    def _processes(self) -> list[psutil.Process]:
        """Those of this cluster, by its folder in what they were started with."""
        found, mark = [], str(self.folder)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if mark in process.environ().get("HOME", "") or any(mark in w for w in process.cmdline()):
                    found.append(process)
        return found

    def _end(self) -> None:
        """First all but the shells that Ray has beside its jobs, which end what those leave."""
        for kept in ("kill -s 0", None):
            found = self._processes()
            for process in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if kept is None or not any(kept in word for word in process.cmdline()):
                        process.kill()
            psutil.wait_procs(found, timeout=20)
        for dashboard in self._dashboards:
            dashboard.wait(20)
        self._dashboards.clear()

"""A real S3 server for tests: rclone, on a folder of this host."""

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.live import free_port, until

KEY, SECRET, BUCKET = "tunebook-test", "tunebook-test-secret", "checkpoints"


@dataclass
class S3:
    """`folder` holds the objects as files; `environment` is what a worker needs to reach it."""

    folder: Path
    port: int = field(default_factory=free_port)
    server: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TUNEBOOK_CHECKPOINTS": f"s3://{BUCKET}/run",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self) -> None:
        program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
        assert program, "rclone is not installed"
        address = f"127.0.0.1:{self.port}"
        flags = ["--addr", address, "--auth-key", f"{KEY},{SECRET}", "--config", str(self.folder / "none")]
        with (self.folder / "log").open("ab") as log:
            self.server = subprocess.Popen(
                [program, "serve", "s3", *flags, str(self.folder / "root")],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        until(self._listens, f"rclone listens; see {self.folder / 'log'}")

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGCONT)
            self.server.terminate()
            self.server.wait(20)
            self.server = None

    def received_bytes(self) -> int:
        assert self.server is not None
        return int(psutil.Process(self.server.pid).io_counters().read_chars)

    def freeze(self) -> None:
        assert self.server is not None
        self.server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.server is not None
        self.server.send_signal(signal.SIGCONT)

    def file(self, uri: str) -> Path:
        """Where the object lies."""
        return self.folder / "root" / uri.removeprefix("s3://")

    def objects(self) -> list[str]:
        """Their addresses."""
        root = self.folder / "root"
        return sorted(f"s3://{path.relative_to(root)}" for path in root.rglob("*") if path.is_file())

    def _listens(self) -> bool:
        assert self.server is not None
        assert self.server.poll() is None, (self.folder / "log").read_text()
        found = psutil.Process(self.server.pid).net_connections("tcp")
        return any(each.status == psutil.CONN_LISTEN for each in found)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[S3]:
    (folder / "root" / BUCKET).mkdir(parents=True)
    store = S3(folder)
    store.start()
    try:
        yield store
    finally:
        store.stop()


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3]:
    (tmp_path / "s3").mkdir()
    with serving(tmp_path / "s3") as store:
        yield store

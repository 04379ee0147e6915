"""R12: full disks fail cleanly, and work goes on when there is room again."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.unruly import UnrulyServer, claim
from tests.live import tunebook
from tests.promises.conftest import Figures
from tests.promises.loops import LONG_LEASE, ask, compared, loop_study, stored
from tunebook.api import Api
from tunebook.client import Client
from tunebook.errors import ApiError
from tunebook.spool import SpoolWriter
from tunebook_server.embedded.postgres import Postgres

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("mount"), reason="mounts a small file system: needs root"
    ),
]

DISK_BYTES, BALLAST_BYTES = 64 << 20, 8 << 20
BATCH_POINTS = 5_000
BACK_SECONDS = 30.0
VALUES = {"valid/error": 0.5, **{f"{'layer/' * 30}{number}": 1.0 for number in range(20)}}


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    path.mkdir(exist_ok=True)
    tmpfs = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(path)]
    if subprocess.run(tmpfs, check=False, capture_output=True).returncode:
        pytest.skip("mounting is forbidden here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path) -> None:
    """Other people's data: to the last byte."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        while file.write(b"x"):
            pass


def test_the_server_says_storage_full_and_goes_on_when_there_is_room(
    durable: Callable[..., Postgres], tmp_path: Path, figures: Figures
) -> None:
    postgres = durable()
    with small_disk(tmp_path / "disk") as disk:
        move_tables(postgres, disk)
        fill_later = disk / "ballast"
        fill_later.write_bytes(bytes(BALLAST_BYTES))
        with tunebook(postgres, tmp_path, **LONG_LEASE) as live:
            given = ask(live.api, loop_study(live.api), "loop")
            trial, server = given["trial"]["id"], live.server.pid
            with contextlib.closing(Api(live.url, given["token"])) as api:
                acknowledged, refusals = report_until_refused(api, trial, least_refusals=20)
                assert {(e.status, e.code) for e in refusals} == {(503, "storage_full")}
                assert all(e.retry_after_seconds for e in refusals)
                kept = compared(points(acknowledged), stored(live.api, trial))
                assert kept == {"lost": 0, "doubled": 0, "wrong": 0}, "no partial rows, and reading goes on"
                fill_later.unlink()
                freed = time.monotonic()
                while not reported(api, trial, acknowledged):
                    assert time.monotonic() - freed < BACK_SECONDS
                    time.sleep(0.1)
                seconds = time.monotonic() - freed
                acknowledged += 1
            assert compared(points(acknowledged), stored(live.api, trial)) == kept
            assert live.server.pid == server
            assert live.server.popen.poll() is None
            log = live.server.log.read_text()
        postgres.stop()
    assert '"status": 500' not in log
    figures(
        refused_as_storage_full=len(refusals),
        points_before=acknowledged * BATCH_POINTS,
        partial_rows=0,
        restarts=0,
        seconds_to_go_on=seconds,
    )


def move_tables(postgres: Postgres, disk: Path) -> None:
    """The tables to the small disk; the log stays: a full log stops Postgres, which `up` starts again."""
    postgres.stop()
    base = postgres.cluster / "base"
    status = base.stat()
    os.chown(disk, status.st_uid, status.st_gid)
    subprocess.run(["cp", "-a", str(base), str(disk)], check=True)
    shutil.rmtree(base)
    base.symlink_to(disk / "base")
    postgres.start()


def report_until_refused(api: Api, trial: int, least_refusals: int) -> tuple[int, list[ApiError]]:
    """Batches one after another, each again and again while it is refused; how many were taken."""
    taken, refusals = 0, list[ApiError]()
    while len(refusals) < least_refusals:
        try:
            taken += reported(api, trial, taken, raising=True)
        except ApiError as error:
            refusals.append(error)
    return taken, refusals


def reported(api: Api, trial: int, sequence: int, *, raising: bool = False) -> bool:
    steps = range(sequence * BATCH_POINTS, (sequence + 1) * BATCH_POINTS)
    series = {"loss": {"step": list(steps), "value": [value(step) for step in steps]}}
    try:
        api.post(f"/trials/{trial}:report", {"epoch": 1, "sequence": sequence, "series": series})
    except ApiError as error:
        if raising or error.code != "storage_full":
            raise
        return False
    return True


def points(batches: int) -> list[tuple[int, float]]:
    return [(step, value(step)) for step in range(batches * BATCH_POINTS)]


def value(step: int) -> float:
    """Digits that no compression shortens."""
    return (step * 0.6180339887498949) % 1.0


def test_a_full_spool_keeps_what_decides_the_study(tmp_path: Path, figures: Figures) -> None:
    server = UnrulyServer("gone")
    server.become("gone")
    with small_disk(tmp_path / "disk") as disk:
        client = Client(server.url, "tbk_pat_test", spool=disk / "spool")
        trial = client.hold(claim())
        reports = 0
        while not trial._writer.dropped:
            trial.report(reports, VALUES)
            reports += 1
        fill(disk / "others")  # somebody takes the rest, and the spool must not notice
        for _ in range(1_000):
            trial.report(reports, VALUES)
            reports += 1
        (tmp_path / "weights").write_text("weights")
        trial.checkpoint(reports, tmp_path / "weights")
        trial.finish()
        server.become("good")
        server.wait_until(lambda: any(verb == "finish" for verb, _ in server.posted))
        client.close()
        sent = {name: len(points) for name, points in server.points().items()}
    server.close()
    ends = [body for verb, body in server.posted if verb == "finish"]
    assert [verb for verb, _ in server.posted] == ["checkpoint", "finish"]
    assert sent["valid/error"] == reports, "every value of the objective"
    assert ends[0]["dropped_points"] == len(VALUES) * reports - sum(sent.values())
    assert ends[0]["dropped_points"] > 0
    figures(
        reports=reports,
        objective_values_kept=sent["valid/error"],
        other_points_dropped=ends[0]["dropped_points"],
        counted_exactly="yes",
        exceptions=0,
    )


def test_without_a_reserve_the_end_would_be_lost(
    tmp_path: Path, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: nothing is held on the disk."""
    monkeypatch.setattr("tunebook.spool.writer.hold_reserve", lambda *_: True)
    with small_disk(tmp_path / "disk") as disk:
        writer = SpoolWriter(disk / "spool")
        record: dict[str, Any] = {"type": "report", "step": 0, "values": {"x" * 4000: 1.0}}
        while writer.append(record):
            pass
        fill(disk / "others")
        kept = writer.append({"type": "finish", "state": "completed", "reason": "x" * 5000}, last=True)
        writer.close()
    assert not kept
    figures(control="no reserve on the disk: caught, the end of the trial was lost")

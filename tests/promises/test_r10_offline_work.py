"""R10: what is recorded while the server is away arrives; what damage costs is counted exactly."""

import contextlib
import random
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.live import Live, tunebook, until
from tests.promises.conftest import Figures, Size
from tests.promises.loops import compared, loop_study, stored
from tunebook.client import Client
from tunebook.spool import Record, SpoolReader, SpoolWriter
from tunebook.spool.journal import segments
from tunebook_server.embedded.postgres import Postgres

pytestmark = pytest.mark.faults

BROKEN = "from tunebook_server.storage import trials; trials.renew_loops = lambda *_, **__: 0"
LEASE = {"TUNEBOOK_BEAT_SECONDS": "2", "TUNEBOOK_FENCE_SECONDS": "60", "TUNEBOOK_LEASE_SECONDS": "90"}

AGO = """
UPDATE trials SET lease_expires_at = lease_expires_at - interval '{0}' WHERE lease_expires_at IS NOT NULL;
UPDATE server SET swept_at = swept_at - interval '{0}';
"""
"""While nothing runs: as if it had not run for so long. The database's clock is the one that counts."""


@pytest.mark.parametrize("away", ["1 hour", "24 hours"])
def test_a_loop_trains_on_while_tunebook_is_away(
    durable: Callable[..., Postgres], tmp_path: Path, size: Size, figures: Figures, away: str
) -> None:
    points = size(p=10_000, n=100_000)
    with tunebook(durable(), tmp_path, **LEASE) as live:
        found = train_while_away(live, tmp_path / "spool", points, away)
    assert found == {"lost": 0, "doubled": 0, "wrong": 0, "finished": 1}
    figures(**{f"points after {away}": points, **found})


def test_without_a_lease_to_come_back_all_would_be_refused(
    durable: Callable[..., Postgres], tmp_path: Path, figures: Figures
) -> None:
    """The control: the first sweep after the absence takes the trial from its loop."""
    with tunebook(durable(), tmp_path, variant=BROKEN, **LEASE) as live:
        found = train_while_away(live, tmp_path / "spool", 1_000, "1 hour")
    assert found["lost"] > 0
    figures(control=f"no lease to come back: caught, {found['lost']} lost")


def train_while_away(live: Live, spool: Path, points: int, away: str) -> dict[str, int]:
    """Reports the first point, all others while nothing of Tunebook runs, and finishes when it is back; what
    the curve then lacks, doubles or changes."""
    with contextlib.closing(Client(live.url, live.token, spool=spool)) as client:
        trial = client.study(loop_study(live.api)).ask()
        assert trial is not None
        trial.report(0, {"loss": 0.0})
        until(lambda: stored(live.api, trial.id), "the first point is there")
        for process in live.processes:
            process.stop()
        live.processes.clear()
        for step in range(1, points):
            trial.report(step, {"loss": step / 2**20})
        with psycopg.connect(live.database_url) as connection:
            connection.execute(AGO.format(away).encode())
        live.start("control", "control")
        until(lambda: swept(live), "the control worker has swept")
        live.processes.insert(0, live.start_server())
        live.processes.pop()
        trial.finish()
        until(lambda: trial.settled, "all of it is acknowledged, or refused", 150)
        finished = trial.finish()
    expected = [(step, step / 2**20) for step in range(points)]
    return {**compared(expected, stored(live.api, trial.id)), "finished": int(finished)}


def swept(live: Live) -> bool:
    with psycopg.connect(live.database_url) as connection:
        row = connection.execute("SELECT now() - swept_at < interval '1 minute' FROM server").fetchone()
    return bool(row and row[0])


APPEND = """
import itertools, sys
from tunebook.spool import SpoolWriter
writer = SpoolWriter(sys.argv[1])
for step in itertools.count(writer.written):
    assert writer.append({"type": "report", "step": step, "values": {"loss": step / 2**20}})
    sys.stdout.write(f"{step}\\n")
    sys.stdout.flush()
"""


def test_a_killed_trainer_loses_nothing_that_it_recorded(
    tmp_path: Path, size: Size, chance: random.Random, figures: Figures
) -> None:
    """A kill -9 after some appends; the next process goes on in the same spool. A record that the kill tore
    in two was not acknowledged to anybody, and is counted."""
    kills, torn, said = size(p=5, n=200), 0, 0
    expected: list[int] = []
    for _ in range(kills):
        before = len(expected)
        said = appended(tmp_path, chance.randrange(1, 200))
        found, reader = drained(tmp_path)
        torn = reader.finish()
        expected += [record["step"] for record in found]
        assert found
        assert all(record["values"]["loss"] == record["step"] / 2**20 for record in found)
        assert said in expected[before:], "the last that was recorded is there"
    assert expected == sorted(set(expected))
    assert len(expected) + torn == expected[-1] + 1, "each index is a record or counted as torn"
    figures(
        kills_while_appending=kills, recorded=len(expected), acknowledged_and_lost=0, torn_and_counted=torn
    )


def appended(folder: Path, after: int) -> int:
    """Kills a process when it has appended so many; the last that it said was stored."""
    with subprocess.Popen(
        [sys.executable, "-c", APPEND, str(folder)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        last = -1
        for count, line in enumerate(child.stdout):
            last = int(line)
            if count == after:
                child.send_signal(signal.SIGKILL)
    return last


def test_damage_costs_the_damaged_records_alone(
    tmp_path: Path, size: Size, chance: random.Random, figures: Figures
) -> None:
    damages = size(p=100, n=500)
    skipped = sum(
        damaged(tmp_path / str(number), chance, cut=number % 5 == 0)[0] for number in range(damages)
    )
    figures(flips_and_truncations=damages, damaged_records_skipped_and_counted=skipped, other_records_lost=0)


def test_without_the_checksum_damage_would_pass(
    tmp_path: Path, chance: random.Random, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the checksum says yes to everything."""
    monkeypatch.setattr(zlib, "crc32", lambda _: 0)
    caught = 0
    for number in range(50):
        try:
            damaged(tmp_path / str(number), chance, cut=False)
        except (AssertionError, ValueError, KeyError):  # other records, or none that can be read
            caught += 1
    assert caught
    figures(control=f"checksum off: caught, {caught} of 50 damaged spools misread")


def damaged(folder: Path, chance: random.Random, *, cut: bool) -> tuple[int, int]:
    """Writes a spool, flips bits of it or cuts it, and reads it: exactly the whole records come back, and
    exactly the others are counted. (Damaged, whole) records."""
    records: list[Record] = [
        {"type": "report", "step": step, "values": {"loss": chance.random()}} for step in range(60)
    ]
    writer = SpoolWriter(folder)
    for record in records:
        assert writer.append(record)
    writer.close()
    (segment,) = segments(folder)
    original = segment.read_bytes()
    content = bytearray(original)
    for _ in range(chance.randrange(1, 6)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    if cut:
        del content[chance.randrange(len(content)) :]
    segment.write_bytes(content)
    extents = list(extents_of(original))
    whole = [r for r, (a, b) in zip(records, extents, strict=True) if content[a:b] == original[a:b]]
    found, reader = drained(folder)
    assert found == whole
    assert reader.finish() == len(records) - len(whole)
    return len(records) - len(whole), len(whole)


def extents_of(content: bytes) -> list[tuple[int, int]]:
    """(start, end) of each record of an undamaged segment, by the length fields alone."""
    at, found = 0, []
    while at < len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "little")
        found.append((at, end))
        at = end
    return found


def drained(folder: Path) -> tuple[list[Record], SpoolReader]:
    reader, found = SpoolReader(folder), []
    while batch := reader.read():
        found += batch
        reader.commit()
    return found, reader

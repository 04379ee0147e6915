"""The spool keeps what it was given, whatever happens to the process, the disk and the file."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunebook.spool import Hold, Record, SpoolHeld, SpoolReader, SpoolWriter, holding
from tunebook.spool.journal import MAX_RECORD_BYTES, segments


def report(step: int, **values: float) -> Record:
    return {"type": "report", "step": step, "values": values or {"loss": step / 7}}


def fill(folder: Path, count: int, **options: int) -> list[Record]:
    writer = SpoolWriter(folder, **options)
    records = [report(step) for step in range(count)]
    for record in records:
        assert writer.append(record)
    writer.close()
    return records


def drain(folder: Path, max_records: int = 1000) -> tuple[list[Record], SpoolReader]:
    reader, found = SpoolReader(folder), []
    while batch := reader.read(max_records):
        found += batch
        reader.commit()
    return found, reader


def test_gives_back_what_it_was_given(tmp_path: Path) -> None:
    records = fill(tmp_path, 2500)
    found, reader = drain(tmp_path)
    assert found == records
    assert (reader.sequence, reader.finish(), reader.dropped) == (3, 0, 0)


def test_repeats_a_batch_until_it_is_acknowledged(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    reader = SpoolReader(tmp_path)
    batch = reader.read(4)
    assert reader.read(4) == batch
    reader.commit()
    assert (reader.sequence, [r["step"] for r in reader.read(4)]) == (1, [4, 5, 6, 7])


@given(st.lists(st.tuples(st.integers(1, 7), st.booleans(), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_a_number_never_carries_other_content(steps: list[tuple[int, bool, bool]]) -> None:
    """Readers that crash at any moment, and come back with other batch sizes while the writer goes on."""
    with tempfile.TemporaryDirectory() as name:
        folder, sent, step = Path(name), dict[int, list[Record]](), 0
        writer, reader = SpoolWriter(folder), SpoolReader(folder)
        for size, crashes, acknowledged in steps:
            for _ in range(3):
                writer.append(report(step))
                step += 1
            if batch := reader.read(size):
                assert sent.setdefault(reader.sequence, batch) == batch
                if acknowledged:
                    reader.commit()
            if crashes:
                reader = SpoolReader(folder)
        while batch := reader.read(100):
            assert sent.setdefault(reader.sequence, batch) == batch
            reader.commit()
        writer.close()
        assert [r["step"] for _, batch in sorted(sent.items()) for r in batch] == list(range(step))


def test_a_lost_cursor_uses_no_number_again(tmp_path: Path) -> None:
    records = fill(tmp_path, 100)
    _, reader = drain(tmp_path, 10)
    used = reader.sequence
    (tmp_path / "cursor.json").write_bytes(b'{"content": {"sequence": 0}, "crc32": 1}')
    found, again = drain(tmp_path, 10)
    assert found == records, "sent twice rather than not at all"
    assert again.sequence - 10 >= used


def test_a_restarted_writer_goes_on(tmp_path: Path) -> None:
    first, second = fill(tmp_path, 30), fill(tmp_path, 20)
    assert drain(tmp_path)[0] == first + second


def test_only_one_process_writes(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    with pytest.raises(SpoolHeld):
        SpoolWriter(tmp_path)
    with holding(tmp_path) as free:
        assert not free
    writer.close()
    with holding(tmp_path) as free:
        assert free
        with pytest.raises(SpoolHeld):
            SpoolWriter(tmp_path)


def test_a_copy_that_a_child_inherited_unseen_holds_nothing(tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    copy = os.dup(hold._file)
    with holding(tmp_path) as free:
        assert not free
    hold.let_go()
    with holding(tmp_path) as free:
        assert free
    os.close(copy)


def test_acknowledged_segments_are_freed(tmp_path: Path) -> None:
    fill(tmp_path, 2000, segment_bytes=10_000)
    assert len(segments(tmp_path)) > 10
    found, reader = drain(tmp_path, 100)
    assert len(found) == 2000
    assert len(segments(tmp_path)) == 1
    assert reader.finish() == 0


# Damage ---------------------------------------------------------------------------------------------------


def _extents(content: bytes) -> list[tuple[int, int]]:
    """(start, end) of each record of an undamaged segment, walked by the length fields alone."""
    at, found = 0, []
    while at < len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "little")
        found.append((at, end))
        at = end
    return found


@given(
    st.integers(0, 2**32),
    st.integers(1, 60),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), max_size=12),
    st.floats(0, 1),
    st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_only_damaged_records_are_skipped_and_all_are_counted(
    seed: int, count: int, flips: list[tuple[float, int]], kept_share: float, cuts: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, random_ = Path(name), random.Random(seed)
        writer = SpoolWriter(folder)
        records = [
            report(i, **{f"m{j}": random_.random() for j in range(random_.randint(1, 4))})
            for i in range(count)
        ]
        for record in records:
            writer.append(record)
        writer.close()
        (segment,) = segments(folder)
        content = bytearray(segment.read_bytes())
        extents = _extents(bytes(content))
        original = bytes(content)
        for place, bit in flips:
            content[int(place * len(content))] ^= 1 << bit
        if cuts:
            del content[int(kept_share * len(content)) :]
        segment.write_bytes(content)
        intact = [r for r, (a, b) in zip(records, extents, strict=True) if content[a:b] == original[a:b]]

        found, reader = drain(folder, 50)

        assert found == intact
        assert reader.finish() == count - len(intact)
        assert reader.finish() == count - len(intact), "counted once"


def test_without_the_checksum_a_flip_would_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same damage, the guard taken away."""
    monkeypatch.setattr(zlib, "crc32", lambda content: 0)
    records = fill(tmp_path, 5)
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes().replace(b'"step":3', b'"step":7'))
    found, _ = drain(tmp_path)
    assert len(found) == 5
    assert found != records


@given(st.binary(max_size=200), st.integers(0, 20))
@settings(max_examples=100, deadline=None)
def test_writing_goes_on_after_a_torn_tail(tail: bytes, before: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = fill(folder, before)
        with segments(folder)[-1].open("ab") as file:
            file.write(tail)
        second = fill(folder, 5)
        found, reader = drain(folder)
        assert found == first + second
        assert reader.finish() == (1 if tail else 0)


def test_a_tail_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    segment = segments(tmp_path)[0]
    content = segment.read_bytes()
    segment.write_bytes(content[:-5])
    reader = SpoolReader(tmp_path)
    assert len(reader.read()) == 2
    reader.commit()
    assert reader.read() == []
    segment.write_bytes(content)
    assert [r["step"] for r in reader.read()] == [2]
    reader.commit()
    assert reader.finish() == 0


def test_zeros_after_a_power_cut_are_no_records(tmp_path: Path) -> None:
    records = fill(tmp_path, 5)
    with segments(tmp_path)[0].open("ab") as file:
        file.write(bytes(4096))
    found, reader = drain(tmp_path)
    assert (found, reader.finish()) == (records, 1)


# Size cap -------------------------------------------------------------------------------------------------


def test_a_full_spool_keeps_its_reserve_and_counts_what_it_drops(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, limit_bytes=64 << 10)
    stored = [writer.append(report(step, a=1.0, b=2.0)) for step in range(2000)]
    kept = sum(stored)
    assert 0 < kept < 2000
    assert writer.dropped == 2 * (2000 - kept), "two points a report"
    assert not writer.append(report(2000, a=1.0, objective=2.0), instead=report(2000, objective=2.0))
    assert writer.dropped == 2 * (2000 - kept) + 1, "the objective is kept"
    assert writer.append({"type": "checkpoint"}, important=True)
    assert sum(s.stat().st_size for s in segments(tmp_path)) <= 64 << 10
    while writer.append({"type": "checkpoint"}, important=True):
        pass
    dropped = writer.dropped
    assert sum(s.stat().st_size for s in segments(tmp_path)) <= 64 << 10
    assert writer.append({"type": "finish", "state": "completed"}, important=True, last=True)
    writer.close()
    found, reader = drain(tmp_path)
    assert reader.dropped == dropped
    assert [found[kept]["type"], found[kept + 1]["type"], found[-1]["type"]] == [
        "report",
        "checkpoint",
        "finish",
    ]
    assert reader.finish() == 0


def test_room_comes_back_as_batches_are_acknowledged(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, limit_bytes=64 << 10)
    step = 0
    while writer.append(report(step)):
        step += 1
    drain(tmp_path)
    arrived = threading.Event()

    def retry() -> None:
        while not writer.append(report(step)):
            pass
        arrived.set()

    threading.Thread(target=retry, daemon=True).start()
    assert arrived.wait(30)
    writer.close()


def test_a_record_that_never_fits_is_the_callers_fault(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    with pytest.raises(ValueError, match="longer than"):
        writer.append({"type": "report", "values": {"x" * MAX_RECORD_BYTES: 1.0}})
    writer.close()
    assert writer.dropped == 0


def test_a_disk_that_fails_costs_records_but_no_exception(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=1000)
    assert writer.append(report(0))
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)  # the next segment cannot be made
    stored = [writer.append(report(step)) for step in range(1, 100)]
    assert not stored[-1]
    assert writer.dropped == stored.count(False)
    writer.close()
    moved.rename(tmp_path)
    found, reader = drain(tmp_path)
    assert (len(found), reader.finish()) == (1 + stored.count(True), 0)


# Processes ------------------------------------------------------------------------------------------------

WRITE_FOR_EVER = """
    import itertools, sys
    from tunebook.spool import SpoolWriter
    writer = SpoolWriter(sys.argv[1])
    for step in itertools.count():
        writer.append({"type": "report", "step": step, "values": {"loss": 0.5}})
        print(step, flush=True)
"""


@pytest.mark.parametrize("attempt", range(5))
def test_a_killed_process_loses_nothing_it_was_told_is_stored(tmp_path: Path, attempt: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITE_FOR_EVER), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        acknowledged = -1
        for line in child.stdout:
            acknowledged = int(line)
            if acknowledged == 300 + 200 * attempt:
                child.send_signal(signal.SIGKILL)
    found, reader = drain(tmp_path)
    assert [r["step"] for r in found] == list(range(len(found)))
    assert len(found) > acknowledged
    assert reader.finish() <= 1, "at most the record that was being written"


def test_reading_beside_the_writer_misses_nothing(tmp_path: Path) -> None:
    writer, reader, done = SpoolWriter(tmp_path, segment_bytes=5000), SpoolReader(tmp_path), threading.Event()
    found: list[Record] = []

    def read() -> None:
        while True:
            last = done.is_set()
            while batch := reader.read(50):
                found.extend(batch)
                reader.commit()
            if last:
                return

    reading = threading.Thread(target=read)
    reading.start()
    records = [report(step) for step in range(3000)]
    for record in records:
        writer.append(record)
    writer.close()
    done.set()
    reading.join()
    assert found == records
    assert reader.finish() == 0


def test_threads_may_write_together(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)

    def write(mark: int) -> None:
        for step in range(500):
            writer.append(report(step, mark=mark))

    threads = [threading.Thread(target=write, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    found, reader = drain(tmp_path)
    for mark in range(4):
        assert [r["step"] for r in found if r["values"]["mark"] == mark] == list(range(500))
    assert reader.finish() == 0


def _in_a_fork(body: Callable[[], bool]) -> int | None:
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(0 if body() else 1))
    child.start()
    child.join()
    return child.exitcode


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_does_not_write(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append(report(0))
    assert _in_a_fork(lambda: writer.append(report(1)) is False) == 0
    writer.append(report(2))
    writer.close()
    assert [r["step"] for r in drain(tmp_path)[0]] == [0, 2]

"""What a job prints reaches the spools whole, whatever it does with its pipes."""

import base64
import os
import sys
from pathlib import Path

import pytest

from tunebook.spool import SpoolReader
from tunebook_worker import capture
from tunebook_worker.capture import Capture
from tunebook_worker.launch import start
from tunebook_worker.orders import JobFolder


def run(program: str, folder: Path) -> Capture:
    environment = {"PATH": os.environ["PATH"]}
    job = start(
        [sys.executable.encode(), b"-c", program.encode()], folder=str(folder), environment=environment
    )
    assert job.stdout is not None
    assert job.stderr is not None
    captured = Capture(JobFolder(folder), job.stdout, job.stderr)
    job.wait()
    captured.close(within_seconds=60)
    job.stdout.close()
    job.stderr.close()
    return captured


def log_of(folder: Path) -> bytes:
    spool, content = SpoolReader(JobFolder(folder).log), b""
    while batch := spool.read():
        content += b"".join(base64.b64decode(record["content"]) for record in batch)
        spool.commit()
    return content


def points_of(folder: Path) -> list[tuple[int, object]]:
    return [(record["step"], record["values"]) for record in SpoolReader(JobFolder(folder).points).read()]


def test_every_byte_is_kept(tmp_path: Path) -> None:
    run("import os; os.write(1, bytes(range(256)))", tmp_path)
    assert log_of(tmp_path) == bytes(range(256))


def test_twelve_megabytes_of_log(tmp_path: Path) -> None:
    run("import os\nfor _ in range(200): os.write(1, b'0123456789abcdef' * 4096)", tmp_path)
    assert log_of(tmp_path) == b"0123456789abcdef" * 4096 * 200


def test_what_does_not_fit_is_counted_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "LOG_LIMIT_BYTES", 1 << 20)
    run("import os\nfor _ in range(100): os.write(1, b'x' * 65536)", tmp_path)
    log = log_of(tmp_path)
    kept, _, note = log.partition(b"\n[tunebook: ")
    assert note.endswith(b" bytes are missing here]\n")
    assert len(kept) + int(note.split()[0]) == 100 * 65536


def test_points_and_text_on_both_streams(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        'print(\'{"step": 1, "loss": 0.5}\', flush=True)\n'
        "print('plain', flush=True)\n"
        'print(\'{"step": 1, "stderr": 1}\', file=sys.stderr, flush=True)\n'
        'sys.stdout.write(\'{"step": 2, "loss": NaN}\')\n'
    )
    run(program, tmp_path)
    assert points_of(tmp_path) == [(1, {"loss": 0.5}), (2, {"loss": "NaN"})]
    assert b"plain\n" in log_of(tmp_path)


def test_the_last_words_of_a_job(tmp_path: Path) -> None:
    captured = run("raise ValueError('no such layer')", tmp_path)
    assert captured.last_words == "ValueError: no such layer"


def test_a_job_that_closes_its_pipes_goes_on(tmp_path: Path) -> None:
    marker = tmp_path / "went-on"
    run(
        "import os, pathlib; os.write(1, b'before'); os.close(1); os.close(2); "
        f"pathlib.Path({str(marker)!r}).touch()",
        tmp_path,
    )
    assert marker.exists()
    assert log_of(tmp_path) == b"before"

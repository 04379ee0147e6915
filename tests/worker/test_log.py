"""The worker's own lines: one JSON object each, whatever is in them, and about which trial they are."""

import json
import logging
import re
import subprocess
import sys

from tests.live import Live, until

PROGRAM = r"""
import logging
from tunebook_worker import log
log.configure()
log.note("before")
log.concern(trial_id=7, epoch=2)
for text in ("a\r\nb", '\n{"event": "forged"}', "\x1b[31m", "\u202e", "\x00", "\ud800", "x" * (1 << 20)):
    log.warn(text, detail=text)
    logging.getLogger("other").warning("%s", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.crash("failed")
"""


def test_nothing_breaks_out_of_its_line() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    assert not re.search("[^\n -~]", done.stderr)
    first, *found = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(found) == 3 * 7
    assert "trial_id" not in first
    assert all((entry["trial_id"], entry["epoch"]) == (7, 2) for entry in found)
    assert max(len(json.dumps(entry)) for entry in found) < 100_000
    assert logging.getLogger("tunebook.worker").name == found[0]["logger"]


def test_lines_of_an_attempt_name_trial_and_epoch(live: Live) -> None:
    with live.worker() as worker:
        study = live.study(["no-such-command"], attempts=1)
        (trial,) = live.ended(study)
        lines = until(
            lambda: [line for line in worker.log.read_text().splitlines() if "the attempt ended" in line],
            "the worker says that the attempt ended",
        )
    entry = json.loads(lines[-1])
    assert (entry["trial_id"], entry["epoch"]) == (trial["id"], 1)

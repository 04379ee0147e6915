"""A data folder of the test's own; whatever was started on it is gone afterwards."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.tree import Up


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "record"
    folder.mkdir()
    return folder


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path / "data")
    yield up
    if up.process is not None and not up.ended:
        tree = up.tree()
        up.stop()
        psutil.wait_procs(tree, timeout=10)
